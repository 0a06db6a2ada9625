//! What readers, other servers and application services ask for, each after the reader's access was checked.

pub(crate) mod access;
pub(crate) mod aggregate;
pub(crate) mod find_thread;
pub(crate) mod history;
pub(crate) mod outgoing;
pub(crate) mod read;
pub(crate) mod receipt_place;
pub(crate) mod related;
pub(crate) mod relations;
pub(crate) mod server;
pub(crate) mod server_history;
pub(crate) mod server_state;
pub(crate) mod service;
pub(crate) mod slice;
pub(crate) mod state_page;
pub(crate) mod timeline;
pub(crate) mod visibility_fact;
