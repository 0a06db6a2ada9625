//! What another server tells of a room to somebody who joins it: genuine, each event after those that it cites.

use std::collections::BTreeSet;

use ruma::{OwnedEventId, UserId};
use tern_model::{MatrixError, Pdu};
use tern_ports::{
    ObjectHost, SqlError,
    wire::adopt::{AdoptRoom, WireEvent},
};
use tern_room::{Version, auth::membership_of, order::topological};

use crate::{RoomActor, graph::genuine::Keys};

/// State without which the room would be another one, where it has it.
pub(super) const NEEDED: [&str; 4] = ["m.room.create", "m.room.power_levels", "m.room.join_rules", "m.room.server_acl"];

/// Why a room is not made.
pub(super) enum Refused {
    Sql(SqlError),
    /// What the other server says makes no room.
    Theirs(String),
    TooLarge(MatrixError),
}

impl From<SqlError> for Refused {
    fn from(error: SqlError) -> Self {
        Self::Sql(error)
    }
}

impl From<Refused> for MatrixError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Sql(error) => error.into(),
            Refused::Theirs(reason) => Self::new(502, "M_UNKNOWN", format!("The room cannot be joined: {reason}")),
            Refused::TooLarge(error) => error,
        }
    }
}

/// What the room is made of: genuine, each event after those that it cites.
pub(super) struct Beginning {
    pub(super) join: Pdu,
    pub(super) events: Vec<Pdu>,
    pub(super) state: BTreeSet<OwnedEventId>,
}

impl<H: ObjectHost> RoomActor<H> {
    /// The events that are what their servers made.
    pub(super) fn beginning(&self, version: &'static Version, request: AdoptRoom) -> Result<Beginning, MatrixError> {
        let AdoptRoom { user_id, event_id, event, state, auth_chain, keys, .. } = request;
        let own = (&*self.config.server_name, &*self.config.signing_key_id);
        let keys = Keys::read(&keys, self.host.now())?.with_own(own.0, own.1, self.signer()?);
        let join = self.verified(version, &event, &keys).filter(|join| *join.id() == *event_id);
        let join = join.filter(|join| is_join_of(join, &user_id));
        let join = join.ok_or_else(|| Refused::Theirs("its join is another one than was sent".to_owned()))?;
        let read = |events: &[WireEvent]| -> Vec<Pdu> {
            events.iter().filter_map(|event| self.verified(version, event, &keys)).collect()
        };
        let (genuine, cited) = (read(&state), read(&auth_chain));
        let is_there =
            |kind: &String| genuine.iter().any(|pdu| pdu.key() == Some("") && pdu.kind().to_string() == *kind);
        if !state.iter().filter_map(needed_type).all(|kind| is_there(&kind)) {
            return Err(Refused::Theirs("what it cannot do without is not genuine".to_owned()).into());
        }
        let state = genuine;
        let ids = state.iter().filter(|pdu| pdu.key().is_some()).map(|pdu| pdu.id().to_owned()).collect();
        Ok(Beginning { join, state: ids, events: topological(state.into_iter().chain(cited).collect()) })
    }
}

fn is_join_of(pdu: &Pdu, user_id: &UserId) -> bool {
    let is_own =
        pdu.kind().to_string() == "m.room.member" && pdu.from() == user_id && pdu.key() == Some(user_id.as_str());
    is_own && membership_of(pdu).is_ok_and(|membership| membership == "join")
}

/// The type of a state event without which the room would be another one.
fn needed_type(event: &WireEvent) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Event {
        r#type: String,
        state_key: String,
    }
    let Event { r#type, state_key } = event.read().ok()?;
    (state_key.is_empty() && NEEDED.contains(&r#type.as_str())).then_some(r#type)
}
