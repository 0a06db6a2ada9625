//! How a homeserver hands media to another: `multipart/mixed` of two parts, a JSON object about the media and the media
//! itself, or instead of it where it can be had (Server-Server API, "Content Repository").
//!
//! Both directions work on pieces: what stands before and after the content is text, the content is never held.

mod read;
mod write;

pub use read::{Event, Malformed, Reader};
pub use write::{Boundary, closing, opening, redirection};

use crate::FileName;

/// What is said about the media that follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    /// Its type, checked by [`crate::serve::content_type`].
    pub content_type: String,
    /// Its name.
    pub name: Option<FileName>,
}
