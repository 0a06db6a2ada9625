//! Server-Server API. Every route that another server has to sign for is of the class `Federation`.

pub(super) mod handshake;
pub(super) mod keys;
pub(super) mod media;
pub(super) mod queries;
pub(super) mod rooms;
pub(super) mod send;
