//! Client-Server API.

pub(crate) mod account;
pub(crate) mod dehydrated;
pub(crate) mod devices;
pub(crate) mod discovery;
pub(crate) mod ephemeral;
pub(crate) mod history;
pub(crate) mod key_backup;
pub(crate) mod keys;
pub(crate) mod media;
pub(crate) mod membership;
pub(crate) mod profile;
pub(crate) mod push;
pub(crate) mod send;
pub(crate) mod session;
pub(crate) mod sync;
pub(crate) mod to_device;
