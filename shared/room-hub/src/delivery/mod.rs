//! Who is told what: the queue of each member, what goes to them together, relays of large rooms, typing and receipts.

pub(crate) mod announce;
pub(crate) mod bundle;
pub(crate) mod carriers;
pub(crate) mod companions;
pub(crate) mod desk;
pub(crate) mod ephemeral;
pub(crate) mod listeners;
pub(crate) mod queue;
pub(crate) mod shares;
