//! The tables of a server's object.

use tern_object_kit::schema::{READ_NUMBER, Schema, WRITE_NUMBER};

use super::{device_changes, device_store, message_store, store};

/// The object of a server that was never told anything has none of them.
pub const SCHEMA: Schema = Schema {
    steps: &[store::TABLES, device_store::TABLES, message_store::TABLES, device_changes::TABLES],
    read: READ_NUMBER,
    write: WRITE_NUMBER,
    signs: &[],
};

/// A restored object may have sent transactions since the backup, and whoever has had one under an id takes no other under it: it
/// begins with another birth.
pub const RESTORED: &[&str] = &["UPDATE queue SET birth = birth + 1 + abs(random() % 1000000000000)"];
