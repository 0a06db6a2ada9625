//! What other tests stand on does what it says. Not in the library, which is large: it would be compiled a second time for them.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "tests")]

mod billed_rows;
mod executor;
mod host;
mod sqlite;
