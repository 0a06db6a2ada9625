//! What is asked of an object, and what its class says of itself.

use serde::{Deserialize, Serialize};
use tern_model::{Name, RawJson};

use crate::schema::Schema;

/// Bytes of the values in a page; its last row may go beyond.
pub const PAGE: u64 = 1_000_000;

/// What a class says of itself.
#[derive(Clone, Copy)]
pub struct Class {
    /// Its tables.
    pub schema: &'static Schema,
    /// What is different in a restored object: statements that are run after its rows are there.
    pub restored: &'static [&'static str],
}

/// Reads a page.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Export {
    /// On the first page: the version that is known already. Later: that of the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Name>,
    /// The table at which the page starts; none for the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<Name>,
    /// Rows of it that were read.
    #[serde(default)]
    pub offset: u64,
}

/// Writes a page, or makes the object out of the pages.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Restore {
    /// Which restore this is.
    pub id: Name,
    /// Position of the page, from 0 on; with `last`, how many there are.
    pub number: u64,
    /// The page; none makes the object, or wakes it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<RawJson>,
    /// Steps of the schema that the object had taken; not needed to wake it.
    #[serde(default)]
    pub schema: u64,
    /// All is restored: what the object has to do may begin.
    #[serde(default)]
    pub wake: bool,
}
