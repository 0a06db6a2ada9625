//! Changes of the room: what is decided, committed, and given to the storage worker.

pub(crate) mod children;
pub(crate) mod create;
pub(crate) mod delayed;
pub(crate) mod facts;
pub(crate) mod finalised;
pub(crate) mod forget;
pub(crate) mod forward;
pub(crate) mod head;
pub(crate) mod membership;
mod prepare_invite;
pub(crate) mod receipts;
pub(crate) mod send;
pub(crate) mod state;
pub(crate) mod state_bytes;
pub(crate) mod sticky;
pub(crate) mod store;
pub(crate) mod tail_bytes;
pub(crate) mod transactions;
pub(crate) mod view;
pub(crate) mod within_bytes;
