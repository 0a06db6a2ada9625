//! The rules of media: what may be stored, how it is named, how it is served so that a browser cannot be talked into
//! running it, and which part of it a request is for.
//!
//! Synchronous functions of values. The bytes themselves are moved by the storage worker.

pub mod id;
pub mod multipart;
pub mod name;
mod parameter;
pub mod policy;
pub mod preview;
pub mod range;
pub mod serve;
pub mod thumbnail;

pub use id::MediaId;
pub use name::FileName;
pub use policy::Policy;
pub use range::{Conditions, Part};
