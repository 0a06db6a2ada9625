//! Users here join, leave and knock through another server: its template is completed, signed and handed over.

use ruma::{OwnedServerName, RoomId, ServerName, UserId};
use serde::{Deserialize, de::DeserializeOwned};
use tern_model::{Config, Handshake, MatrixError, Pdu, RawJson};
use tern_ports::{Clock, Transport};
use tern_room::{SUPPORTED, Signer, Version, template::complete};

use super::requests::{LATE_MS, SOON, ask, escaped, in_small_letters};

/// Who does what where.
#[derive(Clone, Copy)]
pub(super) struct Deed<'a> {
    pub(super) handshake: Handshake,
    pub(super) user_id: &'a UserId,
    pub(super) room_id: &'a RoomId,
    /// What the event says beyond the membership.
    pub(super) content: &'a RawJson,
}

/// An event that is signed by this server, and the version of its room.
pub(super) struct Made {
    pub(super) version: &'static Version,
    pub(super) event: Pdu,
}

/// The key that signs events.
pub(super) fn signer(config: &Config) -> Result<Signer, MatrixError> {
    let signer = Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key);
    signer.map_err(|_| MatrixError::internal())
}

/// The servers that can be asked, each once, the first of them.
pub(super) fn candidates<'a>(
    config: &Config,
    named: impl Iterator<Item = &'a ServerName>,
    most: usize,
) -> Vec<OwnedServerName> {
    let own = in_small_letters(config.server_name.as_str());
    let mut servers: Vec<OwnedServerName> = Vec::new();
    for server in named.filter_map(|server| in_small_letters(server.as_str())) {
        let is_other = Some(&server) != own.as_ref() && config.federation.meets(server.as_str());
        if is_other && servers.len() < most && !servers.contains(&server) {
            servers.push(server);
        }
    }
    servers
}

/// Asks a server for its template, and completes it.
pub(super) async fn make<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    deed: Deed<'_>,
    server: &ServerName,
) -> Result<Made, MatrixError> {
    #[derive(Deserialize)]
    struct Template {
        // Without one the room has version 1, which nobody here enters.
        #[serde(default)]
        room_version: String,
        event: RawJson,
    }
    let versions: Vec<String> = SUPPORTED.iter().map(|version| format!("ver={}", version.id)).collect();
    let versions = if deed.handshake == Handshake::Leave { String::new() } else { format!("?{}", versions.join("&")) };
    let (room, user) = (escaped(deed.room_id.as_str()), escaped(deed.user_id.as_str()));
    let target = format!("/_matrix/federation/v1/make_{}/{room}/{user}{versions}", deed.handshake.membership());
    let Template { room_version, event } = ask(edge, server, (target, None), SOON).await?;
    let unsupported = || MatrixError::new(400, "M_UNSUPPORTED_ROOM_VERSION", "The room version is not supported");
    let version = Version::find(&room_version).ok_or_else(unsupported)?;
    let (what, who) = ((version, deed.handshake), (deed.room_id, deed.user_id));
    let event = complete(what, who, &event, deed.content, edge.now(), &signer(config)?)?;
    Ok(Made { version, event })
}

/// Hands the event over.
pub(super) async fn send<E: Transport, T: DeserializeOwned>(
    edge: &E,
    deed: Deed<'_>,
    made: &Made,
    (server, max_bytes): (&ServerName, usize),
) -> Result<T, MatrixError> {
    let endpoint = if deed.handshake == Handshake::Knock { "v1" } else { "v2" };
    let (room, event) = (escaped(deed.room_id.as_str()), escaped(made.event.id().as_str()));
    let target = format!("/_matrix/federation/{endpoint}/send_{}/{room}/{event}", deed.handshake.membership());
    ask(edge, server, (target, Some(made.event.raw().clone())), (LATE_MS, max_bytes)).await
}

/// Takes a user out of a room again, as far as the server can be asked.
pub(super) async fn leave<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    (room_id, user_id): (&RoomId, &UserId),
    (server, content): (&ServerName, &RawJson),
) -> Result<(), MatrixError> {
    let deed = Deed { handshake: Handshake::Leave, user_id, room_id, content };
    let made = make(edge, config, deed, server).await?;
    let _: RawJson = send(edge, deed, &made, (server, SOON.1)).await?;
    Ok(())
}

/// The first server that does it. What the others said is told where none does: a refusal rather than a failure.
pub(super) async fn first<T>(
    servers: Vec<OwnedServerName>,
    mut attempt: impl AsyncFnMut(OwnedServerName) -> Result<T, MatrixError>,
) -> Result<T, MatrixError> {
    let mut refusal: Option<MatrixError> = None;
    for server in servers {
        match attempt(server).await {
            Ok(done) => return Ok(done),
            // It is as large elsewhere.
            Err(error) if error.status == 413 => return Err(error),
            Err(error) if refusal.as_ref().is_none_or(|known| known.status >= 500) => refusal = Some(error),
            Err(_) => {}
        }
    }
    Err(refusal.unwrap_or_else(|| MatrixError::not_found("No server is known that is in the room")))
}
