//! What other servers list: aliases, and rooms for everybody.

use ruma::{OwnedRoomId, OwnedServerName, RoomAliasId, ServerName};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use tern_model::{BoundedVec, MatrixError, RawJson};
use tern_ports::{Transport, outbound::HttpMethod};

use super::requests::{escaped, look_up};

/// Servers by which a room can be joined, of one alias.
const MOST_SERVERS: usize = 100;
/// Longest answer about an alias, in bytes.
const LONGEST_ALIAS: usize = 64 * 1024;
/// Longest page of a directory, in bytes, and rooms on it, which this server would have as well.
const LONGEST_PAGE: usize = 4 << 20;
const MOST_ROOMS: usize = 500;

/// The room behind an alias, and servers by which it can be joined.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct FoundAlias {
    /// The room.
    pub room_id: OwnedRoomId,
    /// The servers; what is no name of one is left out.
    #[serde(default, deserialize_with = "names")]
    pub servers: BoundedVec<OwnedServerName, MOST_SERVERS>,
}

fn names<'de, D: Deserializer<'de>>(list: D) -> Result<BoundedVec<OwnedServerName, MOST_SERVERS>, D::Error> {
    let list = Vec::<String>::deserialize(list)?;
    Ok(BoundedVec::cut(list.into_iter().filter_map(|name| name.try_into().ok()).collect()))
}

/// `GET /query/directory` of the alias's server.
///
/// # Errors
/// 404 `M_NOT_FOUND` for an alias that leads nowhere; 502; 504.
pub async fn alias<E: Transport>(edge: &E, alias: &RoomAliasId) -> Result<FoundAlias, MatrixError> {
    let target = format!("/_matrix/federation/v1/query/directory?room_alias={}", escaped(alias.as_str()));
    let found = look_up(edge, alias.server_name(), target, None, LONGEST_ALIAS).await?;
    found.read().map_err(|_| malformed())
}

/// A page of the directory of another server, as that server writes it: `GET` with this query, or `POST` with a body as well.
///
/// # Errors
/// 502 when it is no page, or a longer one than this server's would be; those of [`look_up`].
pub async fn public_rooms<E: Transport>(
    edge: &E,
    server: &ServerName,
    query: &[(&str, String)],
    body: Option<RawJson>,
) -> Result<RawJson, MatrixError> {
    #[derive(Deserialize)]
    struct Page {
        #[serde(rename = "chunk")]
        _chunk: BoundedVec<Box<RawValue>, MOST_ROOMS>,
    }
    let mut target = "/_matrix/federation/v1/publicRooms".to_owned();
    for (at, (name, value)) in query.iter().enumerate() {
        target.extend([if at == 0 { "?" } else { "&" }, *name, "=", &escaped(value)]);
    }
    let page = look_up(edge, server, target, body.map(|body| (HttpMethod::Post, body)), LONGEST_PAGE).await?;
    page.read::<Page>().map_err(|_| malformed())?;
    Ok(page)
}

fn malformed() -> MatrixError {
    MatrixError::new(502, "M_UNKNOWN", "The other server did not answer as it should")
}
