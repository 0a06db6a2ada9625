//! Invites to addresses of mail and the like (Server-Server API, "Third-party invites"). This server asks no identity server,
//! so none of its rooms has any; those that its users have elsewhere are passed on.

use ruma::{OwnedRoomId, OwnedUserId, ServerName};
use serde::{Deserialize, Serialize};
use tern_model::{Bounded, BoundedJson, BoundedVec, Config, MatrixError, RawJson};
use tern_ports::{Transport, outbound::HttpMethod};

use super::requests::{escaped, look_up};

/// Invites of one notice.
const MOST_INVITES: usize = 10;
/// Longest answer to an invite that is passed on, in bytes.
const LONGEST_ANSWER: usize = 64 * 1024;

/// What an identity server says: one of its users has an address that others have invited.
#[derive(Clone, Debug, Deserialize)]
pub struct Bound {
    /// Whose it is now.
    pub mxid: OwnedUserId,
    /// `email`, …
    #[serde(rename = "medium")]
    _medium: Bounded<255>,
    /// The address.
    #[serde(rename = "address")]
    _address: Bounded<1_024>,
    /// The invites that wait for it.
    #[serde(default)]
    pub invites: BoundedVec<ThirdPartyInvite, MOST_INVITES>,
}

/// An invite that waits for somebody with an address.
#[derive(Clone, Debug, Deserialize)]
pub struct ThirdPartyInvite {
    /// Into which room.
    pub room_id: OwnedRoomId,
    /// By whom.
    pub sender: OwnedUserId,
    /// The proof of the identity server; the inviting server checks it.
    pub signed: BoundedJson<16_384>,
}

/// The member event that an inviting server is asked to complete.
#[derive(Serialize)]
struct Exchange<'a> {
    r#type: &'static str,
    room_id: &'a OwnedRoomId,
    sender: &'a OwnedUserId,
    state_key: &'a OwnedUserId,
    content: Content<'a>,
}

#[derive(Serialize)]
struct Content<'a> {
    membership: &'static str,
    third_party_invite: Signed<'a>,
}

#[derive(Serialize)]
struct Signed<'a> {
    display_name: &'a str,
    signed: &'a RawJson,
}

/// `PUT /3pid/onbind`: has the servers invite that wait for the address. `admit` is asked before each of them.
///
/// # Errors
/// 400 `M_INVALID_PARAM` for a user of another server; 403 `M_FORBIDDEN` for an invite of a room here; what comes of asking the
/// others; that of `admit`.
pub async fn bound<E: Transport>(
    edge: &E,
    config: &Config,
    bound: &Bound,
    admit: impl Fn() -> Result<(), MatrixError>,
) -> Result<(), MatrixError> {
    if bound.mxid.server_name() != config.server_name {
        return Err(MatrixError::invalid_param("The user is one of another server"));
    }
    let mut refused = None;
    for invite in &*bound.invites {
        admit()?;
        if let Err(error) = exchange(edge, config, &bound.mxid, invite).await {
            refused = Some(error);
        }
    }
    refused.map_or(Ok(()), Err)
}

async fn exchange<E: Transport>(
    edge: &E,
    config: &Config,
    user_id: &OwnedUserId,
    invite: &ThirdPartyInvite,
) -> Result<(), MatrixError> {
    let server = invite.sender.server_name();
    if *server == *config.server_name {
        return Err(none_here());
    }
    let event = Exchange {
        r#type: "m.room.member",
        room_id: &invite.room_id,
        sender: &invite.sender,
        state_key: user_id,
        content: Content {
            membership: "invite",
            third_party_invite: Signed { display_name: user_id.localpart(), signed: &invite.signed },
        },
    };
    let body = RawJson::from_value(&event).map_err(|_| MatrixError::internal())?;
    let target = format!("/_matrix/federation/v1/exchange_third_party_invite/{}", escaped(invite.room_id.as_str()));
    look_up(edge, server, target, Some((HttpMethod::Put, body)), LONGEST_ANSWER).await.map(drop)
}

/// `PUT /exchange_third_party_invite/{roomId}`: why this server does not complete the event, by which another one wants its user
/// invited: 400 for what is no such event, 403 `M_FORBIDDEN` for one that is.
pub fn refusal(origin: &ServerName, room_id: &OwnedRoomId, event: &RawJson) -> MatrixError {
    #[derive(Deserialize)]
    struct Event {
        room_id: OwnedRoomId,
        state_key: OwnedUserId,
        r#type: String,
    }
    match event.read::<Event>() {
        Err(error) => MatrixError::bad_json(error.to_string()),
        Ok(event) if event.room_id != *room_id || event.r#type != "m.room.member" => {
            MatrixError::invalid_param("Not an invite into this room")
        }
        Ok(event) if event.state_key.server_name() != origin => {
            MatrixError::forbidden("The user is not one of your server")
        }
        Ok(_) => none_here(),
    }
}

fn none_here() -> MatrixError {
    MatrixError::forbidden("There is no such invite")
}
