//! Thumbnails: bytes of a picture in, bytes of a small one out, within a stated amount of memory.
//!
//! The picture is anybody's, so its header is measured before anything is decoded. Metadata is not carried over; the
//! orientation that it asks for is applied.

mod decode;
mod encode;
mod measure;
mod shrink;
mod webp;

use tern_media::thumbnail::Size;

pub use measure::MEMORY;

/// Longest file that is looked into, in bytes.
pub const MAX_INPUT: usize = 10 << 20;

/// A thumbnail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail {
    /// The file.
    pub bytes: Vec<u8>,
    /// What kind of file it is.
    pub format: Format,
}

/// Kinds of files that are made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// For what has no transparency.
    Jpeg,
    /// For what has.
    Png,
    /// For clients that take it, when it is smaller.
    Webp,
}

impl Format {
    /// The content type.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
        }
    }
}

/// Why there is no thumbnail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The picture is not larger than what is wanted: it serves itself.
    Small,
    /// Not a picture of a known kind, or a damaged one.
    NotAPicture,
    /// It would take more than [`MEMORY`].
    TooLarge,
}

/// Makes a thumbnail of the picture in `file`: JPEG, PNG, WebP, or the first frame of a GIF. `webp`: the client takes WebP.
///
/// # Errors
/// See [`Refusal`].
pub fn make(file: &[u8], size: Size, webp: bool) -> Result<Thumbnail, Refusal> {
    if file.len() > MAX_INPUT {
        return Err(Refusal::TooLarge);
    }
    let source = measure::open(file)?;
    // The plan is carried out on what is stored, before it is turned to what is seen.
    let wanted = if source.is_turned() { size.turned() } else { size };
    let plan = wanted.plan(source.width, source.height).ok_or(Refusal::Small)?;
    let orientation = source.orientation;
    let small = shrink::shrink(decode::decode(source)?, plan)?;
    encode::encode(shrink::orient(small, orientation), webp)
}
