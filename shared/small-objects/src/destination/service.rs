//! An application service as a destination: what it is sent, and how (Application Service API, "Pushing events").

use std::rc::Rc;

use ruma::{OwnedUserId, UserId};
use serde::Deserialize;
use tern_federation::{back_off::Peer, queue::Answer};
use tern_model::{MatrixError, Millis, RawJson, appservice::Appservice};
use tern_ports::{
    ObjectHost, SqlError, ask_storage,
    outbound::{Bounds, HttpAnswer, HttpMethod, HttpRequest, Url, fetch},
    wire::{
        Done,
        destination::{EnqueueEphemeral, MOST_EPHEMERAL},
        storage::LoadUser,
    },
};
use url::form_urlencoded;

use super::{DestinationActor, ephemeral::Fleeting, store::QueueRow, transaction::Prepared};

/// A service that is busy answers late, and is not to be sent the same meanwhile.
const BOUNDS: Bounds = Bounds { timeout_ms: 60_000, max_bytes: 16 << 10, cut: true, redirects: 0, plain: true };

/// A question whose answer somebody waits for elsewhere.
const QUERY_MS: u64 = 10_000;

/// A member event, as far as it is looked at.
#[derive(Deserialize)]
struct Member {
    state_key: OwnedUserId,
    content: Membership,
}

#[derive(Deserialize)]
struct Membership {
    membership: String,
}

/// The body of a transaction.
#[derive(serde::Serialize)]
struct Body<'a> {
    events: &'a [RawJson],
    #[serde(skip_serializing_if = "Option::is_none")]
    ephemeral: Option<&'a [RawJson]>,
    #[serde(rename = "de.sorunome.msc2409.ephemeral", skip_serializing_if = "Option::is_none")]
    push_ephemeral: Option<&'a [RawJson]>,
}

impl<H: ObjectHost> DestinationActor<H> {
    /// Who is sent something.
    pub(super) fn peer(&self) -> Peer {
        if self.service.is_some() { Peer::Service } else { Peer::Server }
    }

    /// The registration, if this is the object of a service and the operator has not taken it away.
    pub(super) fn registration(&self) -> Option<&Appservice> {
        let id = self.service.as_ref()?;
        let services = &self.config.accounts.appservices;
        services.iter().find(|service| service.id == *id && service.address().is_some())
    }

    /// Whether it is sent anything at all.
    pub(super) fn is_met(&self) -> bool {
        match &self.service {
            Some(_) => self.registration().is_some(),
            None => self.config.federation.meets(self.name.as_str()),
        }
    }

    /// A service that is not registered any more leaves nothing. Ids of one that comes again begin with another birth.
    pub(super) fn forget(&self) -> Result<(), SqlError> {
        if self.queue_row()?.is_some() {
            self.store().clear()?;
            self.remember_queue(QueueRow::born(self.host.now()));
        }
        Ok(())
    }

    /// Remembers what a room says that a service is to be sent soon, or not at all.
    pub(super) fn enqueue_ephemeral(self: &Rc<Self>, ask: EnqueueEphemeral) -> Result<Done, MatrixError> {
        // Whoever is away misses it, and hears of what is then.
        if self.is_met() && self.progress()?.back_off.allows(self.host.now()) {
            let mut waiting = self.for_service.borrow_mut();
            waiting.extend(ask.events);
            let excess = waiting.len().saturating_sub(MOST_EPHEMERAL);
            waiting.drain(..excess);
            drop(waiting);
            self.start_sending();
        }
        Ok(Done {})
    }

    /// A transaction without events: what is in it is not kept, so neither is the transaction. Its id is drawn, and no other has
    /// its form.
    pub(super) fn ephemeral_transaction(&self, birth: Millis) -> Option<Prepared> {
        let ephemeral: Vec<RawJson> = self.for_service.take().into();
        if ephemeral.is_empty() {
            return None;
        }
        let mut drawn = [0; 8];
        self.host.fill(&mut drawn);
        let id = format!("{}-e{}", birth.0, u64::from_ne_bytes(drawn));
        Some(Prepared { ephemeral, ..Prepared::unwritten(id, Fleeting::default()) })
    }

    /// Sends a service a transaction. Services of long ago have it at another path, and the token in the query.
    pub(super) async fn send_to_service(&self, service: &Appservice, prepared: &Prepared) -> Option<Answer> {
        self.ask_for_users(service, &prepared.pdus).await;
        let ephemeral = Some(&*prepared.ephemeral).filter(|ephemeral| !ephemeral.is_empty());
        let body = Body {
            events: &prepared.pdus,
            ephemeral: ephemeral.filter(|_| service.receive_ephemeral),
            push_ephemeral: ephemeral.filter(|_| service.push_ephemeral),
        };
        let body = serde_json::to_vec(&body).ok()?;
        let first = self.legacy.get();
        let answer = self.put_transaction(service, prepared, &body, first).await?;
        let answer = if is_unrecognised(&answer) {
            let other = self.put_transaction(service, prepared, &body, !first).await?;
            if !is_unrecognised(&other) {
                self.legacy.set(!first);
            }
            other
        } else {
            answer
        };
        let seconds = answer.header("retry-after").and_then(|value| value.trim().parse::<u64>().ok());
        let retry_after_ms = seconds.map(|seconds| seconds.saturating_mul(1_000));
        // What is in a success does not matter, not even that it is JSON.
        Some(Answer { status: answer.status, is_json: true, retry_after_ms })
    }

    /// Asks the service for users of its namespaces that are invited and that it has not registered, before it hears of that.
    /// Whatever it answers, the invite goes out.
    async fn ask_for_users(&self, service: &Appservice, events: &[RawJson]) {
        for event in events.iter().filter(|event| event.text().contains("m.room.member")) {
            let Ok(Member { state_key: user_id, content }) = event.read() else { continue };
            if content.membership != "invite" || !service.has_user(&self.name, user_id.as_str()) {
                continue;
            }
            if let Ok(None) = ask_storage(&*self.host, LoadUser { user_id: user_id.clone() }).await {
                self.query_user(service, &user_id).await;
            }
        }
    }

    async fn query_user(&self, service: &Appservice, user_id: &UserId) -> Option<HttpAnswer> {
        let name: String = form_urlencoded::byte_serialize(user_id.as_bytes()).collect();
        let url = Url::parse(&format!("{}/_matrix/app/v1/users/{name}", service.address()?)).ok()?;
        let request = HttpRequest::get(url).with_header("authorization", format!("Bearer {}", service.hs_token));
        fetch(&*self.host, request, Bounds { timeout_ms: QUERY_MS, ..BOUNDS }).await.ok()
    }

    async fn put_transaction(
        &self,
        service: &Appservice,
        prepared: &Prepared,
        body: &[u8],
        legacy: bool,
    ) -> Option<HttpAnswer> {
        let (prefix, token) = if legacy { ("", Some(&*service.hs_token)) } else { ("/_matrix/app/v1", None) };
        let address = format!("{}{prefix}/transactions/{}", service.address()?, prepared.transaction.id);
        let mut url = Url::parse(&address).ok()?;
        if let Some(token) = token {
            url.query_pairs_mut().append_pair("access_token", token);
        }
        let request = HttpRequest::post(url, "application/json", body.to_vec());
        let request = HttpRequest { method: HttpMethod::Put, ..request };
        let request = request.with_header("authorization", format!("Bearer {}", service.hs_token));
        fetch(&*self.host, request, BOUNDS).await.ok()
    }
}

/// The service does not know the path (`M_UNRECOGNIZED`, or no Matrix error at all).
fn is_unrecognised(answer: &HttpAnswer) -> bool {
    #[derive(Deserialize)]
    struct Error {
        errcode: String,
    }
    let named = serde_json::from_slice::<Error>(&answer.body);
    matches!(answer.status, 404 | 405) && named.map_or(true, |error| error.errcode == "M_UNRECOGNIZED")
}
