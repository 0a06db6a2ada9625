//! Matching: the route table of `routes`, without regular expressions.

use std::borrow::Cow;

use futures::{StreamExt, future::LocalBoxFuture};
use percent_encoding::percent_decode_str;
use tern_model::{Class, MatrixError};
use tern_ports::Clock;
use worker::{Method, Request};

use crate::{
    edge::Edge,
    identity, limits,
    request::{Incoming, MAX_BODY},
    respond::Answer,
    routes,
};

/// Who may call a route. There is no default: a route without a class does not compile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Auth {
    /// Anybody.
    Open,
    /// Anybody, as often as they like: the answer follows from the configuration alone and costs no more than the refusal
    /// would, while clients that are refused it give up their sessions.
    Fixed,
    /// A token whose session was confirmed within the last seconds; the proxy confirms it when it was not.
    Token,
    /// Anybody; whoever sends a token is known by it, and refused when it is not good.
    Optional,
    /// A token. The handler asks the caller's own hub, which refuses an ended session itself.
    Hub,
    /// A token of whatever scope whose session was confirmed: for the userinfo endpoint.
    AnyToken,
    /// The administration token.
    Admin,
}

/// What is done with the body of a request before its handler runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Intake {
    /// It is read to its end, up to [`MAX_BODY`].
    Whole,
    /// Nothing: the handler passes it on unread, and sees to its limits.
    Streamed,
}

/// What answers a route.
pub(crate) type Handler = for<'a> fn(&'a Edge, &'a Incoming) -> LocalBoxFuture<'a, Result<Answer, MatrixError>>;

/// One endpoint.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Path template: literal segments and `{name}`.
    pub(crate) path: &'static str,
    pub(crate) auth: Auth,
    /// Which rate limit counts a request, when not the general one.
    pub(crate) class: Option<Class>,
    pub(crate) intake: Intake,
    pub(crate) handler: Handler,
}

impl Route {
    /// What a suspended user may not do (Client-Server API, "Account suspension").
    fn is_closed_to_suspended(&self) -> bool {
        use Class::{CreateRoom, Invite, Join, Message, Profile};
        matches!(self.class, Some(CreateRoom | Invite | Join | Message | Profile))
    }
}

/// Answers a request; what is below `/oauth2/` answers errors, too, in the shape of its protocol.
pub(crate) async fn serve(edge: &Edge, request: Request) -> Result<Answer, MatrixError> {
    let url = request.inner().url();
    let (path, query) = split(&url);
    match run(edge, request, path, query).await {
        Err(error) if path.starts_with("/oauth2/") => Ok(Answer::oauth(&error)),
        answered => answered,
    }
}

/// Finds the route, establishes the caller, reads the body and runs the handler.
async fn run(edge: &Edge, mut request: Request, path: &str, query: &str) -> Result<Answer, MatrixError> {
    let (route, params) = find(&request.method(), path)?;
    let Some(route) = route else {
        return Ok(Answer::preflight());
    };
    edge.trace.route.set(route.path);
    let ip = request.headers().get("cf-connecting-ip").ok().flatten();
    let began = edge.now();
    let established = identity::establish(edge, route.auth, request.headers(), query).await;
    edge.trace.auth_ms.set(edge.now().since(began));
    if let Err(error) = &established {
        limits::admit_refused(edge, error, ip.as_deref())?;
    }
    let identity = match established {
        // RFC 6750, 3
        Err(error) if error.status == 401 && route.auth == Auth::AnyToken => {
            let how = if error.errcode == "M_MISSING_TOKEN" { "Bearer" } else { "Bearer error=\"invalid_token\"" };
            return Ok(Answer::challenge(&error, how));
        }
        established => established?,
    };
    limits::admit(edge, route.auth, route.class, identity.as_ref(), ip.as_deref())?;
    if identity.as_ref().is_some_and(|identity| identity.suspended) && route.is_closed_to_suspended() {
        return Err(MatrixError::user_suspended());
    }
    let incoming = Incoming {
        params,
        query: parse_query(query),
        identity,
        body: match route.intake {
            Intake::Whole => read_body(&mut request).await?,
            Intake::Streamed => Vec::new(),
        },
        stream: if route.intake == Intake::Streamed { request.inner().body() } else { None },
        headers: request.headers().clone(),
        ip,
        address: if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") },
    };
    (route.handler)(edge, &incoming).await
}

type Params = Vec<(&'static str, String)>;
type Found = (Option<&'static Route>, Params);

/// The route for a method and path; no route but no error either for a preflight. A path of older versions of the
/// specification is tried where it leads to today. `HEAD` is `GET` where it has no route of its own.
fn find(method: &Method, path: &str) -> Result<Found, MatrixError> {
    let today = today(path);
    let paths = [Some(path), today.as_deref()];
    let mut known = false;
    for method in [Some(method), (*method == Method::Head).then_some(&Method::Get)].into_iter().flatten() {
        for path in paths.into_iter().flatten() {
            match look_up(method, path) {
                Ok(found) => return Ok((Some(found.0), found.1)),
                Err(elsewhere) => known |= elsewhere,
            }
        }
    }
    match (known, method) {
        (_, Method::Options) => Ok((None, Vec::new())),
        (true, _) => Err(MatrixError::wrong_method()),
        (false, _) => Err(MatrixError::unrecognized()),
    }
}

/// The route for exactly this method and path; otherwise whether the path is known for another method.
fn look_up(method: &Method, path: &str) -> Result<(&'static Route, Params), bool> {
    let mut known = false;
    for route in routes::ALL.iter().copied().flatten() {
        if let Some(params) = match_path(route.path, path) {
            if route.method == *method {
                return Ok((route, params));
            }
            known = true;
        }
    }
    Err(known)
}

/// Where a path of the specification before v1.1 leads to: its endpoints went into `v3` as they were, so all of `v3` can be
/// asked by the older name, and clients that know no other can sign in.
fn today(path: &str) -> Option<String> {
    const LED: [(&str, &str); 3] = [
        ("/_matrix/client/r0/", "/_matrix/client/v3/"),
        ("/_matrix/media/r0/", "/_matrix/media/v3/"),
        ("/_matrix/media/v1/", "/_matrix/media/v3/"),
    ];
    LED.iter().find_map(|(from, to)| path.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}

/// The parameters of `path` under `template`, if it matches. An empty segment matches an empty literal or a parameter
/// that ends the path (a state key may be empty).
fn match_path(template: &'static str, path: &str) -> Option<Vec<(&'static str, String)>> {
    let mut params = Vec::new();
    let mut segments = path.split('/');
    for expected in template.split('/') {
        let segment = segments.next()?;
        match expected.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
            Some(name) => {
                let decoded: Cow<'_, str> = percent_decode_str(segment).decode_utf8().ok()?;
                params.push((name, decoded.into_owned()));
            }
            None if expected == segment => {}
            None => return None,
        }
    }
    segments.next().is_none().then_some(params)
}

/// Path and query of a URL, without parsing the rest of it.
fn split(url: &str) -> (&str, &str) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or("/");
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    path.split_once('?').unwrap_or((path, ""))
}

/// The pairs of a query, or of a form's body, decoded.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    let decode = |text: &str| percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned();
    query
        .split('&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(key, value)| (decode(key), decode(value)))
        .collect()
}

/// The body, unless it is longer than [`MAX_BODY`].
async fn read_body(request: &mut Request) -> Result<Vec<u8>, MatrixError> {
    if matches!(request.method(), Method::Get | Method::Head) {
        return Ok(Vec::new());
    }
    let declared = request.headers().get("content-length").ok().flatten();
    match declared.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if length <= MAX_BODY => request.bytes().await.map_err(|_| MatrixError::not_json()),
        _ => read_bounded(request).await,
    }
}

/// Reads to the end, whatever comes, so that a client who is still writing gets to see the answer; keeps no more than
/// [`MAX_BODY`].
async fn read_bounded(request: &mut Request) -> Result<Vec<u8>, MatrixError> {
    // A request without a body has no stream.
    let Ok(mut chunks) = request.stream() else { return Ok(Vec::new()) };
    let mut body = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| MatrixError::not_json())?;
        length = length.saturating_add(chunk.len());
        if length <= MAX_BODY {
            body.extend(chunk);
        }
    }
    if length > MAX_BODY { Err(MatrixError::too_large("The body is larger than 4 MiB")) } else { Ok(body) }
}

#[cfg(test)]
mod tests {
    use super::{match_path, parse_query, split, today};

    #[test]
    fn a_template_matches_whole_segments_and_decodes_them() {
        let template = "/rooms/{roomId}/state/{type}/{key}";
        let params = match_path(template, "/rooms/%21a%3Ab/state/m.room.name/").unwrap_or_default();
        let expected = [("roomId", "!a:b"), ("type", "m.room.name"), ("key", "")];
        assert_eq!(params, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(match_path(template, "/rooms/x/state/m.room.name"), None);
        assert_eq!(match_path("/a/", "/a"), None);
        assert_eq!(match_path("/a/", "/a/"), Some(Vec::new()));
    }

    #[test]
    fn older_paths_lead_to_those_of_today() {
        for (path, leads) in [
            ("/_matrix/client/r0/login", Some("/_matrix/client/v3/login")),
            ("/_matrix/media/r0/download/a/b", Some("/_matrix/media/v3/download/a/b")),
            ("/_matrix/media/v1/upload", Some("/_matrix/media/v3/upload")),
            ("/_matrix/client/r0", None),
            ("/_matrix/client/v3/login", None),
            ("/_matrix/client/unstable/r0/x", None),
        ] {
            assert_eq!(today(path).as_deref(), leads, "{path}");
        }
    }

    #[test]
    fn a_url_splits_into_path_and_decoded_query() {
        assert_eq!(split("http://h:1/a/b?c=d#e"), ("/a/b", "c=d"));
        assert_eq!(split("http://h"), ("/", ""));
        let pairs = [("a b".to_owned(), "%".to_owned()), ("c".to_owned(), String::new())];
        assert_eq!(parse_query("a+b=%25&c&"), pairs);
    }
}
