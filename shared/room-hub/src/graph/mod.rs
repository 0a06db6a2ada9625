//! Events from other servers: where they stand in the graph, and what is kept of a room that forked.

pub(crate) mod admit;
pub(crate) mod adopt;
pub(crate) mod advance_bytes;
pub(crate) mod batch;
mod bridge;
pub(crate) mod fetch;
pub(crate) mod fetched;
pub(crate) mod gaps;
pub(crate) mod genuine;
mod history;
pub(crate) mod known;
pub(crate) mod origins;
pub(crate) mod read_events;
pub(crate) mod receive;
pub(crate) mod resolution_changes;
pub(crate) mod side_events;
mod signer_keys;
pub(crate) mod state_groups;
pub(crate) mod state_history;
pub(crate) mod take;
mod told;
pub(crate) mod turn_states;
pub(crate) mod waiting;
