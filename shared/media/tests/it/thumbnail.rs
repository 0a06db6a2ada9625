//! Which size serves whom.

use tern_media::thumbnail::{Method, Size};

const STANDARD: [(u32, u32, bool); 5] =
    [(32, 32, true), (96, 96, true), (320, 240, false), (640, 480, false), (800, 600, false)];

fn size(width: u32, height: u32, crop: bool) -> Size {
    Size { width, height, method: if crop { Method::Crop } else { Method::Scale } }
}

#[test]
fn a_wish_is_served_by_the_smallest_size_that_is_large_enough() {
    for (wanted, served) in [
        (size(1, 1, true), Some(size(32, 32, true))),
        (size(33, 20, true), Some(size(96, 96, true))),
        (size(97, 97, true), Some(size(320, 240, false))),
        (size(1, 1, false), Some(size(320, 240, false))),
        (size(321, 241, false), Some(size(640, 480, false))),
        (size(800, 600, false), Some(size(800, 600, false))),
        (size(320, 241, false), None),
        (size(801, 1, false), None),
        (size(801, 601, false), None),
    ] {
        assert_eq!(wanted.standard(), served, "{wanted:?}");
    }
    for (width, height, method) in [(0, 1, None), (1, 1 << 40, None), (1, 1, Some("stretch"))] {
        assert!(Size::parse(width, height, method).is_err());
    }
}

#[test]
fn a_wide_or_tall_picture_is_served_by_the_smallest_size_that_covers_the_wish() {
    let fit = |width, height| Some(Size { width, height, method: Method::Fit });
    for (wanted, picture, served) in [
        (size(800, 200, false), (4000, 500), Some(size(320, 240, false))),
        (size(200, 800, false), (500, 4000), Some(size(320, 240, false))),
        (size(1200, 150, false), (4000, 500), Some(size(320, 240, false))),
        (size(800, 200, false), (1000, 1000), Some(size(800, 600, false))),
        (size(300, 300, true), (1000, 2000), Some(size(320, 240, false))),
        // No standard size is made of it that is as high, but it is itself.
        (size(650, 490, false), (4000, 500), None),
        // It is not as high itself.
        (size(800, 600, false), (4000, 500), fit(800, 600)),
        (size(800, 600, false), (500, 4000), fit(800, 600)),
        (size(320, 240, false), (4000, 200), fit(320, 240)),
        (size(96, 96, true), (4000, 90), None),
        (size(1000, 600, false), (4000, 500), None),
        (size(800, 600, false), (799, 599), None),
    ] {
        assert_eq!(wanted.of(picture.0, picture.1), served, "{wanted:?} of {picture:?}");
    }
}

proptest::proptest! {
    #[test]
    fn a_thumbnail_covers_the_wish_and_is_never_larger_than_its_picture(
        w in 1_u32..30_000, h in 1_u32..30_000, wish_w in 1_u32..1000, wish_h in 1_u32..1000, crop: bool,
    ) {
        let wanted = size(wish_w, wish_h, crop);
        match wanted.plan(w, h) {
            None => assert!(w <= wish_w || h <= wish_h),
            Some(plan) => {
                assert!(plan.width >= wish_w && plan.height >= wish_h);
                assert!(plan.width <= w && plan.height <= h);
                assert!(plan.left + plan.cut_w <= f64::from(w) + 1e-6 && plan.top + plan.cut_h <= f64::from(h) + 1e-6);
                assert!(!crop || (plan.width, plan.height) == (wish_w, wish_h));
            }
        }
    }

    #[test]
    fn what_serves_a_picture_is_large_enough_and_nothing_smaller_is(
        w in 1_u32..8000, h in 1_u32..8000, wish_w in 1_u32..2000, wish_h in 1_u32..1500, crop: bool,
    ) {
        let wanted = size(wish_w, wish_h, crop);
        let served = wanted.of(w, h);
        let can = w >= wish_w && h >= wish_h;
        if let Some(plan) = served.and_then(|served| served.plan(w, h)) {
            let (wide, high) = (plan.width >= wish_w, plan.height >= wish_h);
            assert!(if can { wide && high } else { wide || high });
            assert!(plan.width <= w && plan.height <= h);
        }
        let area = |size: Size| size.width * size.height;
        for smaller in STANDARD.map(|(width, height, crop)| size(width, height, crop)).into_iter().filter(|size| can && served.is_none_or(|served| area(*size) < area(served))) {
            let covers = smaller.plan(w, h).is_some_and(|plan| plan.width >= wish_w && plan.height >= wish_h);
            assert!(!covers || smaller.method == Method::Crop, "{smaller:?}");
        }
        assert!(served.is_none() || !wanted.is_beyond());
        // Where the request alone tells, it tells the same.
        if let Some(standard) = wanted.standard().filter(|standard| standard.plan(w, h).is_some()) {
            assert_eq!(Some(standard), served);
        }
    }
}
