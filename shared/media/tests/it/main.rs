//! The parts of media that read what others wrote.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod multipart;
mod preview;
mod thumbnail;
