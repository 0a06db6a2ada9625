//! Transactions of other servers (Server-Server API, "Transactions"): their events go to the rooms' hubs, which judge them, and
//! what else they bring to whom it concerns ([`edus`]).

use std::collections::BTreeMap;

use futures::{StreamExt, stream};
use ruma::{OwnedEventId, OwnedRoomId, OwnedServerName, OwnedUserId, RoomId, ServerName};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_model::{BoundedVec, Config, EventRef, MatrixError, RawJson};
use tern_ports::{
    Clock, Transport, ask_room, ask_user,
    wire::{
        invite::{MOST_CITED, RejectInvite, Withdrawal},
        receive::{PduResult, Receipted, ReceiveEvents},
    },
};
use tern_room::receipt::presumed_id;

use super::{
    edus::{self, MOST_EDUS},
    event_keys::Signers,
    key_cache::KeyCache,
};
use crate::join::is_local;

/// Most events of a transaction.
pub const MOST_PDUS: usize = 50;
/// Rooms that are told at a time.
const AT_A_TIME: usize = 6;

/// The body of a transaction. Who sends it is known by the signature of the request.
#[derive(Debug, Deserialize)]
pub struct Transaction {
    /// Events, in federation form.
    pub pdus: BoundedVec<RawJson, MOST_PDUS>,
    /// What is no event.
    #[serde(default)]
    pub edus: BoundedVec<RawJson, MOST_EDUS>,
}

/// What is said of the events, by their ids.
type Results = Map<String, Value>;

/// Takes a transaction in, and answers what became of its events. When this is not an error, all of them that were accepted,
/// or wait for others, are durable, and so is what else has to arrive: the sender may forget them. One that comes again changes
/// nothing. `admit` is asked before anybody is asked for keys.
///
/// # Errors
/// 429 when the server sends too much; 503 or 500 when a part of this one is out: the transaction is to be repeated. Never
/// for what an event is like.
pub async fn receive<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    origin: &ServerName,
    transaction: Transaction,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<Value, MatrixError> {
    let (rooms, mut results) = by_room(transaction.pdus.into_vec());
    let admit = &admit;
    let told = stream::iter(rooms).map(async |(room_id, events)| {
        let asked = tell(edge, config, cache, (origin, &room_id), events.clone(), admit).await;
        answer(&events, asked)
    });
    let told: Vec<Result<Results, MatrixError>> = told.buffer_unordered(AT_A_TIME).collect().await;
    for of_room in told {
        results.extend(of_room?);
    }
    // Who came into a room with an event may type there.
    edus::receive(edge, config, origin, &transaction.edus).await?;
    Ok(json!({ "pdus": results }))
}

/// The events of each room, and what is said of those that name none.
fn by_room(pdus: Vec<RawJson>) -> (BTreeMap<OwnedRoomId, Vec<RawJson>>, Results) {
    #[derive(Deserialize)]
    struct Placed {
        room_id: OwnedRoomId,
    }
    let (mut rooms, mut results) = (BTreeMap::<_, Vec<RawJson>>::new(), Results::new());
    for pdu in pdus {
        match pdu.read::<Placed>() {
            Ok(Placed { room_id }) => rooms.entry(room_id).or_default().push(pdu),
            Err(_) => results.extend(refused(&pdu, &MatrixError::bad_json("The event names no room"))),
        }
    }
    (rooms, results)
}

async fn tell<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    (origin, room_id): (&ServerName, &RoomId),
    events: Vec<RawJson>,
    admit: &impl Fn() -> Result<(), MatrixError>,
) -> Result<Vec<Receipted>, MatrixError> {
    let mut signers = Signers::default();
    for event in &events {
        signers.add(event, edge.now());
        withdraw(edge, config, (origin, room_id), event).await?;
    }
    let keys = signers.keys(edge, config, cache, admit).await?;
    let origin: OwnedServerName = origin.to_owned();
    ask_room(edge, room_id, ReceiveEvents { origin, version: None, events, outliers: Vec::new(), keys }).await
}

/// Takes an invite of a user here back, where an event of its server does so: of a room that is not here the user's hub knows
/// alone. That hub looks at which invite is meant; the request is signed by the server.
async fn withdraw<E: Transport>(
    edge: &E,
    config: &Config,
    (origin, room_id): (&ServerName, &RoomId),
    event: &RawJson,
) -> Result<(), MatrixError> {
    #[derive(Deserialize)]
    struct Removal {
        r#type: String,
        sender: OwnedUserId,
        state_key: OwnedUserId,
        content: Content,
        auth_events: BoundedVec<EventRef, MOST_CITED>,
    }
    #[derive(Deserialize)]
    struct Content {
        membership: String,
    }
    let Ok(Removal { r#type, sender, state_key, content, auth_events }) = event.read() else { return Ok(()) };
    let is_theirs = sender.server_name().as_str().eq_ignore_ascii_case(origin.as_str());
    let removes = r#type == "m.room.member" && matches!(content.membership.as_str(), "leave" | "ban");
    if !is_theirs || !removes || !is_local(config, &state_key) {
        return Ok(());
    }
    let withdrawal = Some(Withdrawal { sender, auth_events });
    match ask_user(edge, &state_key, RejectInvite { room_id: room_id.to_owned(), withdrawal }).await {
        Err(error) if error.status >= 500 || error.status == 429 => Err(error),
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What is said of the events of a room. That the room takes none of them is no fault of the transaction.
fn answer(events: &[RawJson], asked: Result<Vec<Receipted>, MatrixError>) -> Result<Results, MatrixError> {
    match asked {
        Ok(receipts) => Ok(receipts.into_iter().filter_map(result).collect()),
        Err(error) if error.status >= 500 || error.status == 429 => Err(error),
        Err(error) => Ok(events.iter().filter_map(|event| refused(event, &error)).collect()),
    }
}

/// What is said of one event; nothing of what is none.
fn result(receipt: Receipted) -> Option<(String, Value)> {
    let said = match receipt.result {
        PduResult::Dropped(reason) | PduResult::Rejected(reason) => json!({ "error": reason }),
        // What waits is kept, and what is soft-failed is nobody's business.
        PduResult::Accepted
        | PduResult::SoftFailed(_)
        | PduResult::Outlier
        | PduResult::Missing(_)
        | PduResult::Deferred(_) => json!({}),
    };
    Some((receipt.event_id?.to_string(), said))
}

/// What is said of an event that no room looked at.
fn refused(event: &RawJson, error: &MatrixError) -> Option<(String, Value)> {
    let event_id: OwnedEventId = presumed_id(event)?;
    Some((event_id.to_string(), error.to_json()))
}
