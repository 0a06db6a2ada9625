//! Conditional and partial requests (RFC 9110, sections 13 and 14). Content is immutable, so its hash is a strong tag.

/// What a request asks for besides the content, as its headers say it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Conditions<'a> {
    /// `Range`.
    pub range: Option<&'a str>,
    /// `If-Range`.
    pub if_range: Option<&'a str>,
    /// `If-None-Match`.
    pub if_none_match: Option<&'a str>,
}

/// What is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// 200: everything.
    Whole,
    /// 206: the bytes from `first` to `last`, both included.
    Span {
        /// Position of the first byte.
        first: u64,
        /// Position of the last byte.
        last: u64,
    },
    /// 304: the client has it.
    Unchanged,
    /// 416: beyond the end.
    Unsatisfiable,
}

/// The quoted entity tag of some content.
pub fn entity_tag(hash: &str) -> String {
    format!("\"{hash}\"")
}

/// Which part of content of `size` bytes with the tag `tag` is answered. A range that is malformed, of another unit, or
/// more than one is ignored, as the RFC allows.
pub fn select(conditions: Conditions<'_>, tag: &str, size: u64) -> Part {
    if conditions.if_none_match.is_some_and(|tags| is_among(tags, tag)) {
        return Part::Unchanged;
    }
    let current = conditions.if_range.is_none_or(|wanted| wanted.trim() == tag);
    match conditions.range.filter(|_| current).and_then(parse) {
        Some(range) => resolve(range, size),
        None => Part::Whole,
    }
}

/// Weak comparison, as `If-None-Match` wants it.
fn is_among(tags: &str, tag: &str) -> bool {
    tags.split(',').map(str::trim).any(|one| one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag)
}

/// A single byte range: first and last, or a length from the end.
#[derive(Clone, Copy)]
enum ByteRange {
    From(u64, Option<u64>),
    Suffix(u64),
}

fn parse(text: &str) -> Option<ByteRange> {
    let (unit, set) = text.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (first, last) = set.trim().split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten();
    match (first, last) {
        ("", suffix) => number(suffix).map(ByteRange::Suffix),
        (first, "") => Some(ByteRange::From(number(first)?, None)),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            (first <= last).then_some(ByteRange::From(first, Some(last)))
        }
    }
}

fn resolve(range: ByteRange, size: u64) -> Part {
    let Some(end) = size.checked_sub(1) else { return Part::Unsatisfiable };
    match range {
        ByteRange::Suffix(0) => Part::Unsatisfiable,
        ByteRange::Suffix(length) => Part::Span { first: size.saturating_sub(length), last: end },
        ByteRange::From(first, _) if first > end => Part::Unsatisfiable,
        ByteRange::From(first, last) => Part::Span { first, last: last.unwrap_or(end).min(end) },
    }
}

#[cfg(test)]
mod tests {
    use super::{Conditions, Part, entity_tag, select};

    fn ranged(range: &str, size: u64) -> Part {
        select(Conditions { range: Some(range), ..Conditions::default() }, "\"t\"", size)
    }

    #[test]
    fn a_range_is_cut_to_what_is_there() {
        assert_eq!(ranged("bytes=0-0", 10), Part::Span { first: 0, last: 0 });
        assert_eq!(ranged("bytes=4-", 10), Part::Span { first: 4, last: 9 });
        assert_eq!(ranged("Bytes = 4-99", 10), Part::Whole);
        assert_eq!(ranged("bytes=4-99", 10), Part::Span { first: 4, last: 9 });
        assert_eq!(ranged("bytes=-3", 10), Part::Span { first: 7, last: 9 });
        assert_eq!(ranged("bytes=-30", 10), Part::Span { first: 0, last: 9 });
        for beyond in ["bytes=10-", "bytes=10-12", "bytes=-0"] {
            assert_eq!(ranged(beyond, 10), Part::Unsatisfiable, "{beyond}");
        }
        assert_eq!(ranged("bytes=0-", 0), Part::Unsatisfiable);
    }

    #[test]
    fn a_range_that_is_none_is_ignored() {
        for odd in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-2",
            "items=0-1",
            "bytes=0-1,3-4",
            "bytes=+1-2",
            "bytes=0-99999999999999999999",
        ] {
            assert_eq!(ranged(odd, 10), Part::Whole, "{odd}");
        }
    }

    #[test]
    fn tags_decide_before_ranges() {
        let tag = entity_tag("abc");
        let ask = |if_none_match, if_range| {
            select(Conditions { range: Some("bytes=1-2"), if_range, if_none_match }, &tag, 10)
        };
        let span = Part::Span { first: 1, last: 2 };
        assert_eq!(ask(Some("\"x\", W/\"abc\""), None), Part::Unchanged);
        assert_eq!(ask(Some("*"), None), Part::Unchanged);
        assert_eq!(ask(Some("\"x\""), Some("\"abc\"")), span);
        assert_eq!(ask(None, Some("\"old\"")), Part::Whole);
    }

    proptest::proptest! {
        #[test]
        fn a_span_is_never_outside(range in "bytes=[0-9]{0,20}-[0-9]{0,20}", size in 0_u64..1000) {
            if let Part::Span { first, last } = ranged(&range, size) {
                assert!(first <= last && last < size);
            }
        }
    }
}
