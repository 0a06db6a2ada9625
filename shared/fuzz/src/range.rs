//! The header `Range` of a download, and the name in a `Content-Disposition`.

use tern_media::{
    FileName,
    range::{Conditions, Part, select},
};

/// A part lies within the content.
pub(crate) fn range(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    for size in [0, 1, 1_000] {
        let asked = Conditions { range: Some(text), ..Conditions::default() };
        if let Part::Span { first, last } = select(asked, "\"tag\"", size) {
            assert!(first <= last && last < size, "outside of {size} bytes: {first} to {last}");
        }
    }
    let _name = FileName::from_disposition(text);
}
