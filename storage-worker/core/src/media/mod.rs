//! Content that travels beside a frame: into the bucket and out of it, and what is deleted from it.
//!
//! Content is stored once per hash. Before an object is written, it is marked as orphaned; the row that makes it
//! visible takes the mark away in the same batch. So whatever happens in between, nothing half is ever seen, and
//! [`sweep`] finds what was left.

mod envelope;
mod fetch;
mod intake;
mod objects;
mod pass;
mod store;
mod sweep;
mod thumbnail;

pub use intake::BodyError;
pub use objects::{ObjectError, Objects, Opened};
pub use store::PART;
pub use thumbnail::Workbench;

/// The storage worker as far as content is concerned.
pub struct MediaStore<'a, D, O> {
    /// The databases.
    pub databases: D,
    /// The bucket.
    pub objects: O,
    /// Pictures that are worked on, which outlives a request.
    pub workbench: &'a Workbench,
}
