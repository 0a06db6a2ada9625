//! Sizes of thumbnails (Client-Server API, "Thumbnails").

use tern_model::MatrixError;

/// How a picture is brought to a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Of exactly this shape, cut out of the middle.
    Crop,
    /// The whole picture, at least as wide and as high.
    Scale,
    /// The whole picture within the size, as wide or as high: of one that is too low or too narrow to cover what is wanted.
    Fit,
}

/// What a thumbnail is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// How it is reached.
    pub method: Method,
}

/// The sizes that are made, smallest first: those of the specification. Whatever is asked for is answered with one of them,
/// so that nobody can have a thousand thumbnails made of one picture.
const STANDARD: [Size; 5] = [
    Size { width: 32, height: 32, method: Method::Crop },
    Size { width: 96, height: 96, method: Method::Crop },
    Size { width: 320, height: 240, method: Method::Scale },
    Size { width: 640, height: 480, method: Method::Scale },
    Size { width: 800, height: 600, method: Method::Scale },
];

/// Types that a thumbnail may have (Client-Server API, `GET /media/thumbnail`).
const TYPES: [&str; 5] = ["image/jpeg", "image/png", "image/apng", "image/gif", "image/webp"];

/// Whether a thumbnail may be of this type, which is without parameters and in small letters.
#[must_use]
pub fn is_type(content_type: &str) -> bool {
    TYPES.contains(&content_type)
}

/// Whether a picture of this type may move.
#[must_use]
pub fn may_move(content_type: &str) -> bool {
    is_type(content_type) && content_type != "image/jpeg"
}

impl Size {
    /// The picture's own, which is not larger: for one that moves and is to stand still.
    pub const WHOLE: Self = Self { width: u32::MAX, height: u32::MAX, method: Method::Scale };

    /// A size as a client asks for it; `method` is `crop` or `scale`.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM` for nothing, for more than a picture can have, and for another method.
    pub fn parse(width: u64, height: u64, method: Option<&str>) -> Result<Self, MatrixError> {
        let method = match method {
            None | Some("scale") => Method::Scale,
            Some("crop") => Method::Crop,
            Some(_) => return Err(MatrixError::invalid_param("method is neither crop nor scale")),
        };
        let side = |side: u64, name: &str| {
            let side = u32::try_from(side).ok().filter(|side| *side > 0);
            side.ok_or_else(|| MatrixError::invalid_param(format!("{name} is out of range")))
        };
        Ok(Self { width: side(width, "width")?, height: side(height, "height")?, method })
    }

    /// The standard size that serves this request whatever the picture is like, if it is large enough; `None` when that
    /// depends on the picture's shape, see [`Size::of`]. A large picture to be cut is sent whole: the client cuts it.
    #[must_use]
    pub fn standard(self) -> Option<Self> {
        let first = self.candidates().find(|size| size.width >= self.width || size.height >= self.height);
        first.filter(|size| size.width >= self.width && size.height >= self.height)
    }

    /// The standard size that serves this request for a picture of `width` by `height` pixels: the smallest of which
    /// the thumbnail is as wide and as high as wanted; as wide or as high, where the picture itself is not both. `None`
    /// when there is none and the original must do.
    #[must_use]
    pub fn of(self, width: u32, height: u32) -> Option<Self> {
        if width >= self.width && height >= self.height {
            let covers = |plan: Plan| plan.width >= self.width && plan.height >= self.height;
            return self.candidates().find(|size| size.plan(width, height).is_some_and(covers));
        }
        let reaches = |plan: Plan| plan.width >= self.width || plan.height >= self.height;
        let within = STANDARD.iter().filter(|size| self.method == Method::Scale && size.method == Method::Scale);
        let mut within = within.map(|size| Self { method: Method::Fit, ..*size });
        within.find(|size| size.plan(width, height).is_some_and(reaches))
    }

    /// Whether a picture of `width` by `height` pixels is nowhere larger.
    #[must_use]
    pub const fn holds(self, width: u32, height: u32) -> bool {
        width <= self.width && height <= self.height
    }

    /// Whether it is larger than any standard size, at least one way.
    #[must_use]
    pub fn is_large(self) -> bool {
        STANDARD.iter().all(|size| size.width < self.width || size.height < self.height)
    }

    /// Whether it is larger than every standard size both ways: none serves it, whatever the picture is like.
    #[must_use]
    pub fn is_beyond(self) -> bool {
        STANDARD.iter().all(|size| size.width < self.width && size.height < self.height)
    }

    /// The standard sizes that may serve this request, smallest first. What is cut has to be large enough before.
    fn candidates(self) -> impl Iterator<Item = Self> {
        let cut =
            move |size: &Self| self.method == Method::Crop && size.width >= self.width && size.height >= self.height;
        STANDARD.into_iter().filter(move |size| size.method != Method::Crop || cut(size))
    }

    /// The same lying on its side.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self { width: self.height, height: self.width, method: self.method }
    }

    /// The name under which it is kept.
    #[must_use]
    pub fn key(self) -> String {
        let method = match self.method {
            Method::Crop => "crop",
            Method::Scale => "scale",
            Method::Fit => "fit",
        };
        format!("{}x{}-{method}", self.width, self.height)
    }

    /// How a picture of `width` by `height` pixels becomes this; `None` when it is too small for it, since a thumbnail is
    /// never larger than its picture.
    #[must_use]
    pub fn plan(self, width: u32, height: u32) -> Option<Plan> {
        let (w, h) = (f64::from(width), f64::from(height));
        let (across, down) = (f64::from(self.width) / w, f64::from(self.height) / h);
        let scale = if self.method == Method::Fit { across.min(down) } else { across.max(down) };
        if width == 0 || height == 0 || scale >= 1.0 {
            return None;
        }
        if self.method == Method::Crop {
            let (cut_w, cut_h) = (f64::from(self.width) / scale, f64::from(self.height) / scale);
            let (left, top) = ((w - cut_w) / 2.0, (h - cut_h) / 2.0);
            return Some(Plan {
                left: left.max(0.0),
                top: top.max(0.0),
                cut_w,
                cut_h,
                width: self.width,
                height: self.height,
            });
        }
        Some(Plan { left: 0.0, top: 0.0, cut_w: w, cut_h: h, width: whole(w * scale), height: whole(h * scale) })
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a side is positive and smaller than the picture's"
)]
fn whole(side: f64) -> u32 {
    side.round().max(1.0) as u32
}

/// Which part of a picture is scaled to which size.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plan {
    /// Left edge of the part, in pixels of the picture.
    pub left: f64,
    /// Its upper edge.
    pub top: f64,
    /// Its width.
    pub cut_w: f64,
    /// Its height.
    pub cut_h: f64,
    /// Width of the thumbnail.
    pub width: u32,
    /// Its height.
    pub height: u32,
}
