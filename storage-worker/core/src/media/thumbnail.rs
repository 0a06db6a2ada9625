//! Thumbnails: made once, kept beside the object they are of.

use std::cell::Cell;

use tern_media::{
    Part, range, serve,
    thumbnail::{self, Method, Size},
};
use tern_model::MatrixError;
use tern_ports::wire::media::{FetchThumbnail, Fetched, Follows};
use tern_thumbnail::{MAX_INPUT, ThumbnailError};

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
/// read again for every request. These types never leave this module. Instead of `SMALL` the picture's [`Shape`] is kept
/// since it is asked for.
const SMALL: &str = "x-tern/small";
const LARGE: &str = "x-tern/large";
const DAMAGED: &str = "x-tern/damaged";

/// What a picture's shape is kept under, beside its thumbnails.
const SHAPE: &str = "shape";

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

/// Sides of a picture as it is seen, in pixels, kept as a content type.
#[derive(Clone, Copy)]
struct Shape(u32, u32);

impl Shape {
    fn content_type(self) -> String {
        format!("x-tern/{}x{}", self.0, self.1)
    }

    fn read(content_type: &str) -> Option<Self> {
        let (width, height) = content_type.strip_prefix("x-tern/")?.split_once('x')?;
        Some(Self(width.parse().ok()?, height.parse().ok()?))
    }

    fn of(file: &[u8]) -> Result<Self, ThumbnailError> {
        tern_thumbnail::look(file).map(|picture| Self(picture.width, picture.height))
    }
}

/// What a client is answered.
type Answer<B> = (Fetched, Option<B>);

/// What is kept for one size.
enum Kept<B> {
    Thumbnail(Answer<B>),
    /// The picture is too small for it. What was kept earlier does not tell its shape.
    Small(Option<Shape>),
}

impl<D: Databases, O: Objects> MediaStore<'_, D, O> {
    /// A thumbnail, or the original where that must do. One batch and one read of the bucket; one more for a request of
    /// which the picture's shape says what serves it. When something has to be made, two reads and a put more.
    ///
    /// # Errors
    /// As [`FetchThumbnail`] says; 503 when the database or the bucket fails.
    pub async fn thumbnail(&self, ask: &FetchThumbnail) -> Result<Answer<O::Body>, MatrixError> {
        let found = find(&self.databases, &ask.original).await?;
        let kind = serve::essence(&found.content_type).to_ascii_lowercase();
        if !kind.starts_with("image/") {
            return Err(not_a_picture());
        }
        // What moves is not made to stand still for a client that likes it to move.
        if ask.animated && matches!(kind.as_str(), "image/gif" | "image/apng") {
            return self.original(ask, found, &kind).await;
        }
        let method = if ask.crop { Method::Crop } else { Method::Scale };
        let wanted = Size { width: ask.width, height: ask.height, method };
        match self.serving(ask, &found, &kind, wanted).await? {
            Some(answer) => Ok(answer),
            None => self.original(ask, found, &kind).await,
        }
    }

    /// The thumbnail that serves a request; `None` when the original does.
    async fn serving(
        &self,
        ask: &FetchThumbnail,
        found: &Found,
        kind: &str,
        wanted: Size,
    ) -> Result<Option<Answer<O::Body>>, MatrixError> {
        let shape = match self.first(ask, found, wanted).await? {
            Kept::Thumbnail(answer) => return Ok(Some(answer)),
            Kept::Small(shape) => shape,
        };
        // What is small both ways and moves would have been made to stand still.
        if wanted.standard().zip(shape).is_some_and(|(size, Shape(width, height))| size.holds(width, height)) {
            return Ok(None);
        }
        let size = shape.and_then(|Shape(width, height)| wanted.of(width, height));
        // What moves does so for no other client.
        let still = (!ask.animated && thumbnail::may_move(kind)).then_some(Size::WHOLE);
        for size in size.into_iter().chain(still) {
            if let Kept::Thumbnail(answer) = self.kept(ask, found, size).await? {
                return Ok(Some(answer));
            }
        }
        Ok(None)
    }

    /// What serves a request by itself, or the picture's shape, if there is any that something could serve it of.
    async fn first(&self, ask: &FetchThumbnail, found: &Found, wanted: Size) -> Result<Kept<O::Body>, MatrixError> {
        let kept = match wanted.standard() {
            Some(size) => self.kept(ask, found, size).await?,
            None => Kept::Small(None),
        };
        let known = !matches!(kept, Kept::Small(None)) || wanted.is_beyond();
        if known { Ok(kept) } else { self.shape(found, wanted).await.map(Kept::Small) }
    }

    /// What is kept for `size`, made if nothing is.
    async fn kept(&self, ask: &FetchThumbnail, found: &Found, size: Size) -> Result<Kept<O::Body>, MatrixError> {
        let variant = format!("{}{}", size.key(), if ask.webp { "-webp" } else { "" });
        let tag = range::entity_tag(&format!("{}-{variant}", found.sha256));
        if range::select(conditions(&ask.original), &tag, 0) == Part::Unchanged {
            return Ok(Kept::Thumbnail((described(String::new(), 0, tag, Follows::Unchanged), None)));
        }
        let opened = self.made(found, &variant, |file| thumbnail_of(file, size, ask.webp)).await?;
        if opened.content_type == SMALL {
            return Ok(Kept::Small(None));
        }
        if let Some(shape) = Shape::read(&opened.content_type) {
            return Ok(Kept::Small(Some(shape)));
        }
        let known = described(opened.content_type, opened.size, tag, Follows::Whole);
        self.sent(&ask.original, known, Some(opened.body)).map(Kept::Thumbnail)
    }

    /// The picture's shape, looked at once. `None` when it cannot be known and the request is so large that the
    /// original does.
    async fn shape(&self, found: &Found, wanted: Size) -> Result<Option<Shape>, MatrixError> {
        match self.made(found, SHAPE, |file| Shape::of(file).map(|shape| (Vec::new(), shape.content_type()))).await {
            Ok(opened) => Ok(Shape::read(&opened.content_type)),
            Err(error) if error.status == 413 && wanted.is_large() => Ok(None),
            Err(error) => Err(error),
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

    /// What is kept as `variant` of a picture, made of its bytes if nothing is.
    async fn made(
        &self,
        found: &Found,
        variant: &str,
        make: impl Fn(&[u8]) -> Result<(Vec<u8>, String), ThumbnailError>,
    ) -> Result<Opened<O::Body>, MatrixError> {
        let key = format!("{}{variant}", derived(&found.object));
        let opened = if let Some(opened) = self.objects.open(&key, None).await? {
            opened
        } else {
            let (bytes, content_type) = self.make(found, make).await?;
            self.objects.put(&key, bytes, &content_type).await?;
            self.objects.open(&key, None).await?.ok_or_else(MatrixError::unavailable)?
        };
        match opened.content_type.as_str() {
            LARGE => Err(MatrixError::too_large("The picture is too large for a thumbnail")),
            DAMAGED => Err(not_a_picture()),
            _ => Ok(opened),
        }
    }

    async fn make(
        &self,
        found: &Found,
        make: impl Fn(&[u8]) -> Result<(Vec<u8>, String), ThumbnailError>,
    ) -> Result<(Vec<u8>, String), MatrixError> {
        let nothing = |why: &str| Ok((Vec::new(), why.to_owned()));
        if !usize::try_from(found.size).is_ok_and(|size| size <= MAX_INPUT) {
            return nothing(LARGE);
        }
        let _place = self.workbench.take(found.size)?;
        let file = self.objects.read(&found.object).await?.ok_or_else(MatrixError::unavailable)?;
        match make(&file) {
            Ok(made) => Ok(made),
            Err(ThumbnailError::Small) => nothing(SMALL),
            Err(ThumbnailError::TooLarge) => nothing(LARGE),
            Err(ThumbnailError::NotAPicture) => nothing(DAMAGED),
        }
    }
}

/// The thumbnail and its type, or the shape of a picture that is too small.
fn thumbnail_of(file: &[u8], size: Size, webp: bool) -> Result<(Vec<u8>, String), ThumbnailError> {
    match tern_thumbnail::make(file, size, webp) {
        Ok(made) => Ok((made.bytes, made.format.content_type().to_owned())),
        Err(ThumbnailError::Small) if size != Size::WHOLE => {
            Shape::of(file).map(|shape| (Vec::new(), shape.content_type()))
        }
        Err(error_of) => Err(error_of),
    }
}

fn described(content_type: String, size: u64, tag: String, follows: Follows) -> Fetched {
    Fetched { content_type, name: Some("thumbnail".to_owned()), size, tag, follows }
}

/// As the specification answers for what cannot be made smaller.
fn not_a_picture() -> MatrixError {
    MatrixError::new(400, "M_UNKNOWN", "There can be no thumbnail of this")
}
