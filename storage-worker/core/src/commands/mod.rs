//! What the worker can be asked, one function per command.

pub(crate) mod accounts;
pub(crate) mod aliases;
pub(crate) mod append;
pub mod archive;
pub(crate) mod ask;
pub mod backup;
pub mod clients;
pub(crate) mod directory;
pub(crate) mod keyring;
pub mod levels;
pub(crate) mod media;
pub(crate) mod public_keys;
pub(crate) mod pushkeys;
pub(crate) mod relations;
pub(crate) mod reports;
pub(crate) mod rooms;
pub(crate) mod search;
pub mod server_keys;
pub(crate) mod state;
pub(crate) mod sync;
pub(crate) mod threepids;
pub(crate) mod timeline;
pub mod troubles;
pub(crate) mod user_directory;
pub(crate) mod users;
