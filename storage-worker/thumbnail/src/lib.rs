//! Thumbnails: bytes of a picture in, bytes of a small one out, within a stated amount of memory.
//!
//! The picture is anybody's, so its header is measured before anything is decoded. Metadata is not carried over; the
//! orientation that it asks for is applied.

mod decode;
mod encode;
mod measure;
mod moves;
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
pub enum ThumbnailError {
    /// The picture is too small for what is wanted, at least one way; if both ways, it does not move and serves itself.
    Small,
    /// Not a picture of a known kind, or a damaged one.
    NotAPicture,
    /// It would take more than [`MEMORY`].
    TooLarge,
}

/// What a picture is, by its header alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Picture {
    /// Its content type.
    pub content_type: &'static str,
    /// In pixels, as it is seen.
    pub width: u32,
    /// In pixels.
    pub height: u32,
}

/// Looks at the header of a picture of a kind that thumbnails are made of.
///
/// # Errors
/// See [`ThumbnailError`].
pub fn look(file: &[u8]) -> Result<Picture, ThumbnailError> {
    let source = measure::open(file)?;
    let (width, height) =
        if source.is_turned() { (source.height, source.width) } else { (source.width, source.height) };
    Ok(Picture { content_type: source.content_type, width, height })
}

/// Most pixels of a picture that is written anew in its own size: all of them are in memory twice.
const MAX_STILL: u64 = 4 << 20;

/// Whether a first frame is to be made of a picture that is small enough.
fn still(file: &[u8], source: &measure::Source<'_>) -> Result<(), ThumbnailError> {
    if !moves::moves(file) {
        return Err(ThumbnailError::Small);
    }
    let pixels = u64::from(source.width).saturating_mul(u64::from(source.height));
    if pixels > MAX_STILL { Err(ThumbnailError::TooLarge) } else { Ok(()) }
}

/// Makes a thumbnail of the picture in `file`: JPEG, PNG, WebP, or the first frame of what moves, which is also made of what
/// is not larger. `webp`: the client takes WebP.
///
/// # Errors
/// See [`ThumbnailError`].
pub fn make(file: &[u8], size: Size, webp: bool) -> Result<Thumbnail, ThumbnailError> {
    if file.len() > MAX_INPUT {
        return Err(ThumbnailError::TooLarge);
    }
    if size == Size::WHOLE && !moves::moves(file) {
        // Whatever it would cost, it serves itself, if it is a picture at all.
        return Err(if measure::is_picture(file) { ThumbnailError::Small } else { ThumbnailError::NotAPicture });
    }
    let source = measure::open(file)?;
    // The plan is carried out on what is stored, before it is turned to what is seen.
    let wanted = if source.is_turned() { size.turned() } else { size };
    let plan = wanted.plan(source.width, source.height);
    if plan.is_none() {
        if !wanted.holds(source.width, source.height) {
            return Err(ThumbnailError::Small);
        }
        still(file, &source)?;
    }
    let orientation = source.orientation;
    let pixels = decode::decode(source)?;
    let small = if let Some(plan) = plan { shrink::shrink(pixels, plan)? } else { pixels };
    encode::encode(shrink::orient(small, orientation), webp)
}
