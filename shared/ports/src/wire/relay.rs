//! What a relay can be asked: to tell many hubs the same. Nothing is stored in it.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_model::RawJson;

use super::{
    boundary, frame,
    policy::{ObjectPolicy, object_policy},
};

boundary! {
    /// A question to a relay.
    RelayCommand,
    /// A question to a relay and its answer.
    RelayRequest,
    ObjectPolicy,
    object_policy,
    {
        // when there is nothing here, access
        PassOn => PassedOn, [Own Write];
    }
}

/// Most users in one shard; a relay takes no more. With the longest user ids they weigh five megabytes.
pub const MOST_USERS: usize = 20_000;

/// Tells a shard of users the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassOn {
    /// Whom, at most [`MOST_USERS`], each once.
    pub users: Vec<OwnedUserId>,
    /// What: a `tern_model::Notice`, which travels as it is.
    pub notice: RawJson,
    /// So many milliseconds the asker waits for the answer, less the way.
    pub patience_ms: u64,
}

impl PassOn {
    /// The frame for each of the hubs: a [`super::user::Deliver`].
    pub fn frame(&self) -> Vec<u8> {
        #[derive(Serialize)]
        struct Deliver<'a> {
            notices: [&'a RawJson; 1],
        }
        #[derive(Serialize)]
        enum Command<'a> {
            Deliver(Deliver<'a>),
        }
        frame::write(&Command::Deliver(Deliver { notices: [&self.notice] }))
    }
}

/// The answer to [`PassOn`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOn {
    /// What came of it for each of the users, in their order.
    #[serde(rename = "told")]
    pub outcomes: Vec<DeliveryOutcome>,
}

/// What came of telling a hub.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum DeliveryOutcome {
    /// It has heard.
    Heard,
    /// It has heard, and nobody listens there.
    Idle,
    /// It has not, or nobody knows.
    Missed,
}

/// A number is a fifth of the bytes of a name, and there are thousands in an answer.
impl From<DeliveryOutcome> for u8 {
    fn from(outcome: DeliveryOutcome) -> Self {
        match outcome {
            DeliveryOutcome::Heard => 0,
            DeliveryOutcome::Idle => 1,
            DeliveryOutcome::Missed => 2,
        }
    }
}

impl TryFrom<u8> for DeliveryOutcome {
    type Error = String;

    fn try_from(number: u8) -> Result<Self, String> {
        match number {
            0 => Ok(Self::Heard),
            1 => Ok(Self::Idle),
            2 => Ok(Self::Missed),
            _ => Err(format!("{number} is no outcome")),
        }
    }
}

#[cfg(test)]
mod tests {
    use tern_model::{Notice, RawJson, RoomSeq};

    use super::{DeliveryOutcome, PassOn, PassedOn, frame};
    use crate::wire::{UserCommand, user::Deliver};

    #[test]
    fn a_hub_cannot_tell_a_relayed_notice_from_another() {
        let notice = Notice {
            room_id: ruma::room_id!("!r:x").to_owned(),
            events: Vec::new(),
            resolved: Vec::new(),
            membership: None,
            stripped: Vec::new(),
            summary: None,
            members: None,
            forwarded: RoomSeq(7),
            selective: true,
            ephemeral: Vec::new(),
            sticky: Vec::new(),
        };
        let ask = PassOn { users: Vec::new(), notice: RawJson::from_value(&notice).unwrap(), patience_ms: 1 };
        assert_eq!(ask.frame(), frame::write(&UserCommand::from(Deliver { notices: vec![notice] })));
    }

    #[test]
    fn outcomes_are_short_and_others_are_refused() {
        let outcomes = vec![DeliveryOutcome::Heard, DeliveryOutcome::Idle, DeliveryOutcome::Missed];
        let written = frame::write(&PassedOn { outcomes: outcomes.clone() });
        assert_eq!(written, b"1\n{\"told\":[0,1,2]}");
        assert_eq!(frame::read(&written), Ok(PassedOn { outcomes }));
        assert!(frame::read::<PassedOn>(b"1\n{\"told\":[3]}").is_err());
    }
}
