//! Signed requests to the server.

use std::rc::Rc;

use tern_federation::{
    back_off::Health,
    request::{SignedRequest, content},
};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ObjectHost,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Url, fetch},
    wire::destination::{LONGEST_ANSWER, LONGEST_TIMEOUT, RemoteAnswer, SendRequest},
};

use super::{DestinationActor, way::address};

/// What requests to other servers begin with; nothing else is signed.
const PREFIX: &str = "/_matrix/";
/// How often a server is looked for and asked, where the connection failed.
const TRIES: u32 = 2;

impl<H: ObjectHost> DestinationActor<H> {
    /// Makes one signed request for somebody else. A server that answers well is sent what waits for it.
    pub(super) async fn ask_server(self: &Rc<Self>, request: SendRequest) -> Result<RemoteAnswer, MatrixError> {
        let progress = self.progress()?;
        let answer = self.send_request(request).await;
        if progress.back_off.failures > 0 && self.back_off.get().failures == 0 {
            self.wake()?;
        }
        answer
    }

    /// Makes one signed request, and notes how the server is.
    pub(super) async fn send_request(&self, request: SendRequest) -> Result<RemoteAnswer, MatrixError> {
        if !self.config.federation.meets(self.name.as_str()) {
            return Err(MatrixError::forbidden("This server does not federate with the other one"));
        }
        if request.background && !self.back_off.get().allows(self.host.now()) {
            return Err(unreachable("it is left alone after failures"));
        }
        let answer = self.attempt(&request).await;
        let health = match &answer {
            Ok(answer) => Health::of(answer.status, answer.body.is_some(), answer.retry_after_ms),
            Err(Failure::Unsent(error)) => return Err(error.clone()),
            Err(Failure::Unanswered(_)) => Health::Unwell,
        };
        self.note_health(health);
        answer.map_err(MatrixError::from)
    }

    /// Asks where the server was, and once more where it is now when nobody was there.
    async fn attempt(&self, request: &SendRequest) -> Result<RemoteAnswer, Failure> {
        if !request.target.starts_with(PREFIX) {
            return Err(unsent("The target is none of another server"));
        }
        let mut last = None;
        for _ in 0..TRIES {
            let way = self.way().await.map_err(|reason| Failure::Unanswered(unreachable(&reason)))?;
            let url = address(&way, &request.target).map_err(|_| unsent("The target is no path"))?;
            let signed = self.signed(request, url)?;
            let bounds = Bounds {
                timeout_ms: request.timeout_ms.min(LONGEST_TIMEOUT),
                max_bytes: request.max_bytes.min(LONGEST_ANSWER),
                cut: false,
                redirects: 0,
                plain: false,
            };
            match fetch(&*self.host, signed, bounds).await {
                Ok(answer) => return Ok(read(&answer)),
                Err(HttpError::Late) => {
                    self.forget_way();
                    let error = MatrixError::new(504, "M_UNREACHABLE", "The server did not answer in time");
                    return Err(Failure::Unanswered(error));
                }
                Err(HttpError::Unreachable(reason)) => {
                    self.forget_way();
                    last = Some(Failure::Unanswered(unreachable(&reason)));
                }
                Err(error) => return Err(Failure::Unanswered(unreachable(&error.to_string()))),
            }
        }
        Err(last.unwrap_or_else(|| Failure::Unanswered(unreachable("it was not asked"))))
    }

    /// The request with its signature, over the target as it leaves.
    pub(super) fn signed(&self, request: &SendRequest, url: Url) -> Result<HttpRequest, Failure> {
        let key = self.key.as_ref().ok_or_else(|| Failure::Unsent(MatrixError::internal()))?;
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        // Dots in the path lead elsewhere.
        if !target.starts_with(PREFIX) || url.fragment().is_some() {
            return Err(unsent("The target is none of another server"));
        }
        let body = request.body.as_ref().map(|body| content(body.text().as_bytes()));
        let body = body.transpose().map_err(|_| unsent("The body cannot be signed"))?.flatten();
        let signed = SignedRequest {
            method: request.method.name(),
            target: &target,
            origin: self.config.server_name.as_str(),
            destination: self.name.as_str(),
            content: body.as_deref(),
        };
        let authorization = signed.sign(key);
        let mut http = HttpRequest { method: request.method, ..HttpRequest::get(url) };
        http = http.with_header("authorization", authorization).with_header("accept", "application/json");
        if let Some(body) = body {
            http = http.with_header("content-type", "application/json");
            http.body = Some(body.into_bytes());
        }
        Ok(http)
    }

    /// Remembers how the server is.
    pub(super) fn note_health(&self, health: Health) {
        let after = self.back_off.get().after(health, self.host.now(), self.spread());
        self.back_off.set(after);
    }

    /// Drawn from all numbers, so that those who failed together do not come back together.
    pub(super) fn spread(&self) -> u16 {
        let mut spread = [0; 2];
        self.host.fill(&mut spread);
        u16::from_ne_bytes(spread)
    }
}

/// Why there is no answer.
pub(super) enum Failure {
    /// Ours: the server was not asked.
    Unsent(MatrixError),
    /// Theirs, or the network's.
    Unanswered(MatrixError),
}

impl From<Failure> for MatrixError {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unsent(error) | Failure::Unanswered(error) => error,
        }
    }
}

fn unsent(message: &'static str) -> Failure {
    Failure::Unsent(MatrixError::invalid_param(message))
}

/// 502 `M_UNREACHABLE`.
pub(super) fn unreachable(reason: &str) -> MatrixError {
    MatrixError::new(502, "M_UNREACHABLE", format!("The server cannot be reached: {reason}"))
}

fn read(answer: &HttpAnswer) -> RemoteAnswer {
    #[derive(serde::Deserialize)]
    struct Limited {
        retry_after_ms: Option<u64>,
    }
    let body = std::str::from_utf8(&answer.body).ok().and_then(|text| RawJson::parse(text.trim().to_owned()).ok());
    let seconds = answer.header("retry-after").and_then(|value| value.trim().parse::<u64>().ok());
    let said = || body.as_ref()?.read::<Limited>().ok()?.retry_after_ms;
    let retry_after_ms =
        if answer.status == 429 { seconds.map(|seconds| seconds.saturating_mul(1_000)).or_else(said) } else { None };
    RemoteAnswer { status: answer.status, body, retry_after_ms }
}
