//! How a command is answered.

use ruma::OwnedDeviceId;
use serde::Serialize;
use tern_model::{MatrixError, RawJson};
use tern_ports::wire::frame;

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Handled {
    /// Answered: a reply frame.
    Reply(Vec<u8>),
    /// Nothing to say yet: the host holds the question, in the same turn.
    Hold {
        /// The device that asks.
        device_id: OwnedDeviceId,
        /// What wakes it: bits of `tern_model::news`.
        kinds: u32,
        /// The answer if nothing comes in time.
        timeout_response: RawJson,
    },
}

pub(super) fn reply<T: Serialize>(result: &Result<T, MatrixError>) -> Handled {
    Handled::Reply(frame::write_reply(result))
}
