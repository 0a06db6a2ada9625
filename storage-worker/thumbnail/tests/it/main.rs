//! Pictures in, thumbnails out; whatever else comes in is refused.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

mod hostile;
mod looks;
mod pictures;
