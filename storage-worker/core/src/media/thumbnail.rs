//! Thumbnails: made once, kept beside the object they are of.

use std::cell::Cell;

use tern_media::{
    Part, range, serve,
    thumbnail::{self, Size},
};
use tern_model::MatrixError;
use tern_ports::wire::media::{FetchThumbnail, Fetched, Follows};
use tern_thumbnail::{MAX_INPUT, Refusal};

use super::{MediaStore, Objects, Opened, fetch::conditions, sweep::derived};
use crate::{
    commands::media::{Found, find},
    sql::Databases,
};

/// Bytes of pictures that may be in memory at once, waiting for their turn.
const MAX_WAITING: u64 = 20 << 20;

/// What a client is told to wait while other pictures are at work, in milliseconds.
const BUSY_MS: u64 = 1000;

/// What is kept in place of a thumbnail that cannot be: an empty object of a type that says why, so that the picture is not
/// read again for every request. These types never leave this module.
const SMALL: &str = "x-tern/small";
const LARGE: &str = "x-tern/large";
const DAMAGED: &str = "x-tern/damaged";

/// Bytes of pictures that this isolate is working on. One is decoded at a time, since nothing awaits meanwhile.
#[derive(Debug, Default)]
pub struct Workbench(Cell<u64>);

impl Workbench {
    fn take(&self, size: u64) -> Result<Place<'_>, MatrixError> {
        let taken = self.0.get().saturating_add(size);
        if taken > MAX_WAITING {
            return Err(MatrixError::limit_exceeded(BUSY_MS));
        }
        self.0.set(taken);
        Ok(Place(self, size))
    }
}

/// A place on the workbench, given back when dropped.
struct Place<'a>(&'a Workbench, u64);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Workbench(taken) = self.0;
        taken.set(taken.get().saturating_sub(self.1));
    }
}

impl<D: Databases, O: Objects> MediaStore<'_, D, O> {
    /// A thumbnail, or the original where that is no larger. One batch and one read of the bucket; when it has to be made,
    /// two reads and a put more.
    ///
    /// # Errors
    /// As [`FetchThumbnail`] says; 503 when the database or the bucket fails.
    pub async fn thumbnail(&self, ask: &FetchThumbnail) -> Result<(Fetched, Option<O::Body>), MatrixError> {
        let found = find(&self.databases, &ask.original).await?;
        let kind = serve::essence(&found.content_type).to_ascii_lowercase();
        if !kind.starts_with("image/") {
            return Err(not_a_picture());
        }
        let wish = Size { width: ask.width, height: ask.height, crop: ask.crop };
        let size = match wish.standard() {
            // What moves is not made to stand still for a client that likes it to move.
            _ if ask.animated && matches!(kind.as_str(), "image/gif" | "image/apng") => None,
            // And moves for no other.
            None if !ask.animated && thumbnail::may_move(&kind) => Some(Size::WHOLE),
            size => size,
        };
        let Some(size) = size else { return self.original(ask, found, &kind).await };
        let variant = format!("{}{}", size.key(), if ask.webp { "-webp" } else { "" });
        let tag = range::entity_tag(&format!("{}-{variant}", found.sha256));
        if range::select(conditions(&ask.original), &tag, 0) == Part::Unchanged {
            return Ok((described(String::new(), 0, tag, Follows::Unchanged), None));
        }
        let key = format!("{}{variant}", derived(&found.object));
        let opened = self.made(&found, size, ask.webp, &key).await?;
        match opened.content_type.as_str() {
            SMALL => self.original(ask, found, &kind).await,
            LARGE => Err(MatrixError::too_large("The picture is too large for a thumbnail")),
            DAMAGED => Err(not_a_picture()),
            _ => {
                let known = described(opened.content_type, opened.size, tag, Follows::Whole);
                self.sent(&ask.original, known, Some(opened.body))
            }
        }
    }

    /// The picture itself, if its type is one of a thumbnail.
    async fn original(
        &self,
        ask: &FetchThumbnail,
        found: Found,
        kind: &str,
    ) -> Result<(Fetched, Option<O::Body>), MatrixError> {
        if thumbnail::is_type(kind) { self.content(&ask.original, found).await } else { Err(not_a_picture()) }
    }

    /// What is kept under `key`, made if nothing is.
    async fn made(&self, found: &Found, size: Size, webp: bool, key: &str) -> Result<Opened<O::Body>, MatrixError> {
        if let Some(opened) = self.objects.open(key, None).await? {
            return Ok(opened);
        }
        let (bytes, content_type) = self.make(found, size, webp).await?;
        self.objects.put(key, bytes, content_type).await?;
        self.objects.open(key, None).await?.ok_or_else(MatrixError::unavailable)
    }

    async fn make(&self, found: &Found, size: Size, webp: bool) -> Result<(Vec<u8>, &'static str), MatrixError> {
        let nothing = |why| Ok((Vec::new(), why));
        if !usize::try_from(found.size).is_ok_and(|size| size <= MAX_INPUT) {
            return nothing(LARGE);
        }
        let _place = self.workbench.take(found.size)?;
        let file = self.objects.read(&found.object).await?.ok_or_else(MatrixError::unavailable)?;
        match tern_thumbnail::make(&file, size, webp) {
            Ok(thumbnail) => Ok((thumbnail.bytes, thumbnail.format.content_type())),
            Err(Refusal::Small) => nothing(SMALL),
            Err(Refusal::TooLarge) => nothing(LARGE),
            Err(Refusal::NotAPicture) => nothing(DAMAGED),
        }
    }
}

fn described(content_type: String, size: u64, tag: String, follows: Follows) -> Fetched {
    Fetched { content_type, name: Some("thumbnail".to_owned()), size, tag, follows }
}

/// As the specification answers for what cannot be made smaller.
fn not_a_picture() -> MatrixError {
    MatrixError::new(400, "M_UNKNOWN", "There can be no thumbnail of this")
}
