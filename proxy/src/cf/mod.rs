//! Cloudflare's side of the ports. Nothing outside this module and `objects` names a platform type.

pub(crate) mod ambient;
pub(crate) mod cache;
pub(crate) mod charset;
pub(crate) mod crypto;
pub(crate) mod host;
pub(crate) mod meter;
pub(crate) mod outbound;
pub(crate) mod settings;
pub(crate) mod sql;
pub(crate) mod wire;
