//! Sizes of thumbnails (Client-Server API, "Thumbnails").

use tern_model::MatrixError;

/// What a thumbnail is to be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size {
    /// In pixels.
    pub width: u32,
    /// In pixels.
    pub height: u32,
    /// Of exactly this shape, cut out of the middle; else the whole picture, at least as wide and as high.
    pub crop: bool,
}

/// The sizes that are made, smallest first: those of the specification. Whatever is asked for is answered with one of them,
/// so that nobody can have a thousand thumbnails made of one picture.
const STANDARD: [Size; 5] = [
    Size { width: 32, height: 32, crop: true },
    Size { width: 96, height: 96, crop: true },
    Size { width: 320, height: 240, crop: false },
    Size { width: 640, height: 480, crop: false },
    Size { width: 800, height: 600, crop: false },
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
    pub const WHOLE: Self = Self { width: u32::MAX, height: u32::MAX, crop: false };

    /// A size as a client asks for it; `method` is `crop` or `scale`.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM` for nothing, for more than a picture can have, and for another method.
    pub fn parse(width: u64, height: u64, method: Option<&str>) -> Result<Self, MatrixError> {
        let crop = match method {
            None | Some("scale") => false,
            Some("crop") => true,
            Some(_) => return Err(MatrixError::invalid_param("method is neither crop nor scale")),
        };
        let side = |side: u64, name: &str| {
            let side = u32::try_from(side).ok().filter(|side| *side > 0);
            side.ok_or_else(|| MatrixError::invalid_param(format!("{name} is out of range")))
        };
        Ok(Self { width: side(width, "width")?, height: side(height, "height")?, crop })
    }

    /// The standard size that serves this wish; `None` when none is large enough and the original must do. A large picture
    /// to be cut is sent whole: the client cuts it.
    #[must_use]
    pub fn standard(self) -> Option<Self> {
        let serves = |size: &&Self| (self.crop || !size.crop) && size.width >= self.width && size.height >= self.height;
        STANDARD.iter().find(serves).copied()
    }

    /// The same lying on its side.
    #[must_use]
    pub const fn turned(self) -> Self {
        Self { width: self.height, height: self.width, crop: self.crop }
    }

    /// The name under which it is kept.
    #[must_use]
    pub fn key(self) -> String {
        let method = if self.crop { "crop" } else { "scale" };
        format!("{}x{}-{method}", self.width, self.height)
    }

    /// How a picture of `width` by `height` pixels becomes this; `None` when it is not larger, since a thumbnail is never
    /// larger than its picture.
    #[must_use]
    pub fn plan(self, width: u32, height: u32) -> Option<Plan> {
        let (w, h) = (f64::from(width), f64::from(height));
        let scale = (f64::from(self.width) / w).max(f64::from(self.height) / h);
        if width == 0 || height == 0 || scale >= 1.0 {
            return None;
        }
        if self.crop {
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

#[cfg(test)]
mod tests {
    use super::Size;

    fn size(width: u32, height: u32, crop: bool) -> Size {
        Size { width, height, crop }
    }

    #[test]
    fn a_wish_is_served_by_the_smallest_size_that_is_large_enough() {
        for (wish, served) in [
            (size(1, 1, true), Some(size(32, 32, true))),
            (size(33, 20, true), Some(size(96, 96, true))),
            (size(97, 97, true), Some(size(320, 240, false))),
            (size(1, 1, false), Some(size(320, 240, false))),
            (size(320, 241, false), Some(size(640, 480, false))),
            (size(800, 600, false), Some(size(800, 600, false))),
            (size(801, 1, false), None),
        ] {
            assert_eq!(wish.standard(), served, "{wish:?}");
        }
        for (width, height, method) in [(0, 1, None), (1, 1 << 40, None), (1, 1, Some("stretch"))] {
            assert!(Size::parse(width, height, method).is_err());
        }
    }

    proptest::proptest! {
        #[test]
        fn a_thumbnail_covers_the_wish_and_is_never_larger_than_its_picture(
            w in 1_u32..30_000, h in 1_u32..30_000, wish_w in 1_u32..1000, wish_h in 1_u32..1000, crop: bool,
        ) {
            let wish = size(wish_w, wish_h, crop);
            match wish.plan(w, h) {
                None => assert!(w <= wish_w || h <= wish_h),
                Some(plan) => {
                    assert!(plan.width >= wish_w && plan.height >= wish_h);
                    assert!(plan.width <= w && plan.height <= h);
                    assert!(plan.left + plan.cut_w <= f64::from(w) + 1e-6 && plan.top + plan.cut_h <= f64::from(h) + 1e-6);
                    assert!(!crop || (plan.width, plan.height) == (wish_w, wish_h));
                }
            }
        }
    }
}
