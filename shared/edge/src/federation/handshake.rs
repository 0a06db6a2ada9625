//! How users of other servers join, leave and knock through this one: templates, and the events made of them.

use ruma::{OwnedEventId, OwnedServerName, OwnedUserId, RoomId, ServerName};
use serde_json::{Value, json};
use tern_model::{BoundedJson, BoundedVec, Config, EventRef, Handshake, MatrixError, Name, RawJson};
use tern_ports::{
    Clock, Transport, ask_room,
    wire::handshake::{MakeMember, SendMember, SentMember},
};

use super::{event_keys::Signers, key_cache::KeyCache};

/// The version that a server knows which names none.
const OLDEST: &str = "1";

/// `GET make_join`, `make_leave`, `make_knock`. `versions` are the values of `ver`.
///
/// # Errors
/// The room's.
pub async fn make<E: Transport>(
    edge: &E,
    origin: &ServerName,
    handshake: Handshake,
    (room_id, user_id): (&RoomId, OwnedUserId),
    versions: impl Iterator<Item = &str>,
) -> Result<Value, MatrixError> {
    let mut versions: Vec<Name> = versions.map(Name::cut).collect();
    if versions.is_empty() {
        versions.push(Name::cut(OLDEST));
    }
    let versions = BoundedVec::cut(versions);
    let template = ask_room(edge, room_id, MakeMember { origin: origin.to_owned(), handshake, user_id, versions });
    let template = template.await?;
    Ok(json!({ "room_version": template.room_version, "event": template.event }))
}

/// An event that is handed over.
#[derive(Debug)]
pub struct HandedOver<'a> {
    /// The room of the request.
    pub room_id: &'a RoomId,
    /// The event of the request.
    pub event_id: OwnedEventId,
    /// Its body.
    pub event: RawJson,
    /// Of a join: the answer need not have all members.
    pub omit_members: bool,
}

/// `PUT send_join`, `send_leave`, `send_knock`: the answer, as of the newest version of the endpoint. `admit` is asked before
/// anybody is asked for keys.
///
/// # Errors
/// The room's; that of `admit`; 503.
pub async fn send<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    cache: &KeyCache,
    (origin, handshake): (&ServerName, Handshake),
    handed: HandedOver<'_>,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<Value, MatrixError> {
    let mut signers = Signers::default();
    signers.add(&handed.event, edge.now());
    let keys = signers.keys(edge, config, cache, admit).await?;
    let ask = SendMember {
        origin: origin.to_owned(),
        handshake,
        event_id: EventRef::new(handed.event_id)?,
        event: BoundedJson::new(handed.event)?,
        keys: BoundedVec::cut(keys),
        omit_members: handed.omit_members,
    };
    let sent = ask_room(edge, handed.room_id, ask).await?;
    Ok(match handshake {
        Handshake::Join => joined(&config.server_name, sent, handed.omit_members),
        Handshake::Leave => json!({}),
        Handshake::Knock => json!({ "knock_room_state": sent.state }),
    })
}

fn joined(own: &OwnedServerName, sent: SentMember, omitted: bool) -> Value {
    let SentMember { event, state, auth_chain, servers } = sent;
    json!({
        "origin": own, "event": event, "state": state, "auth_chain": auth_chain, "members_omitted": omitted,
        "servers_in_room": servers,
    })
}
