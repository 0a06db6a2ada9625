//! Events from other servers: where they stand in the graph, and what is kept of a room that forked.

pub(crate) mod admit;
pub(crate) mod aside;
pub(crate) mod fetch;
pub(crate) mod forks;
pub(crate) mod known;
pub(crate) mod past;
pub(crate) mod receive;
pub(crate) mod turns;
