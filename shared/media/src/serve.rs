//! How content is handed out: as what it was declared to be, but never as something that can act.

use crate::FileName;

/// What a browser may show in place (Client-Server API, "Serving inline content"): types that cannot run script.
const INLINE: [&str; 26] = [
    "text/css",
    "text/plain",
    "text/csv",
    "application/json",
    "application/ld+json",
    "image/jpeg",
    "image/gif",
    "image/png",
    "image/apng",
    "image/webp",
    "image/avif",
    "video/mp4",
    "video/webm",
    "video/ogg",
    "video/quicktime",
    "audio/mp4",
    "audio/webm",
    "audio/aac",
    "audio/mpeg",
    "audio/ogg",
    "audio/wave",
    "audio/wav",
    "audio/x-wav",
    "audio/x-pn-wav",
    "audio/flac",
    "audio/x-flac",
];

/// What content without a usable type is called.
pub const UNKNOWN_TYPE: &str = "application/octet-stream";

/// Longest content type that is kept, in bytes.
const MAX_TYPE: usize = 255;

/// Headers that make any content inert, whatever its type: nothing may run or load, no other site may embed it as its own
/// document, and no type is guessed (Client-Server API, "Content repository").
pub const INERT: [(&str, &str); 4] = [
    (
        "content-security-policy",
        "sandbox; default-src 'none'; script-src 'none'; plugin-types application/pdf; style-src 'unsafe-inline'; \
         object-src 'self';",
    ),
    ("cross-origin-resource-policy", "cross-origin"),
    ("x-content-type-options", "nosniff"),
    ("referrer-policy", "no-referrer"),
];

/// Content never changes under its id; only who asked may keep it.
pub const CACHE_CONTROL: &str = "private, max-age=31536000, immutable";

/// The content type to keep, of the one a client sent: a `type/subtype` with optional parameters on one line of ASCII, else
/// [`UNKNOWN_TYPE`].
pub fn content_type(declared: Option<&str>) -> String {
    let plain = |text: &&str| text.len() <= MAX_TYPE && text.bytes().all(|byte| (b' '..=b'~').contains(&byte));
    declared
        .map(str::trim)
        .filter(plain)
        .filter(|text| is_type(essence(text)))
        .map_or_else(|| UNKNOWN_TYPE.to_owned(), str::to_owned)
}

/// The value of `Content-Disposition`.
pub fn disposition(content_type: &str, name: Option<&FileName>) -> String {
    let lower = essence(content_type).to_ascii_lowercase();
    let kind = if INLINE.contains(&lower.as_str()) { "inline" } else { "attachment" };
    format!("{kind}{}", name.map(FileName::parameters).unwrap_or_default())
}

/// A type without its parameters.
#[must_use]
pub fn essence(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

fn is_type(text: &str) -> bool {
    let token = |part: &str| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$&^_.+-".contains(&byte))
    };
    text.split_once('/').is_some_and(|(kind, subtype)| token(kind) && token(subtype))
}

#[cfg(test)]
mod tests {
    use super::{UNKNOWN_TYPE, content_type, disposition};
    use crate::FileName;

    #[test]
    fn only_what_cannot_act_is_shown_in_place() {
        let name = FileName::clean("x.png");
        assert_eq!(disposition("image/png", name.as_ref()), "inline; filename=\"x.png\"");
        assert_eq!(disposition("IMAGE/PNG ; a=b", None), "inline");
        assert_eq!(disposition("text/plain; charset=utf-8", None), "inline");
        for active in [
            "text/html",
            "image/svg+xml",
            "application/xhtml+xml",
            "text/xml",
            "application/pdf",
            "text/javascript",
            "",
        ] {
            assert_eq!(disposition(active, None), "attachment", "{active}");
        }
    }

    #[test]
    fn a_malformed_type_is_no_type() {
        assert_eq!(content_type(Some("image/png")), "image/png");
        assert_eq!(content_type(Some(" text/plain; charset=utf-8 ")), "text/plain; charset=utf-8");
        for bad in
            [None, Some(""), Some("png"), Some("a/b/c"), Some("image/png\r\nx: y"), Some("image/pñg"), Some("a b/c")]
        {
            assert_eq!(content_type(bad), UNKNOWN_TYPE, "{bad:?}");
        }
    }
}
