//! File names, which people choose and browsers obey.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

use crate::parameter;

/// Longest name that is kept, in bytes.
const MAX_LEN: usize = 255;

/// What RFC 5987 lets stand in an extended value.
const ATTR_CHAR: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// A file name that is safe to show and to store: no path, no control character, no character that reverses or hides text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileName(String);

impl FileName {
    /// What is left of `text` after everything unsafe is taken out; `None` when nothing is.
    pub fn clean(text: &str) -> Option<Self> {
        let last = text.rsplit(['/', '\\']).next().unwrap_or_default();
        let mut name = String::new();
        for letter in last.chars().filter(|letter| !is_unsafe(*letter)) {
            if name.len() + letter.len_utf8() > MAX_LEN {
                break;
            }
            name.push(letter);
        }
        let name = name.trim_end().trim_start_matches(|letter: char| letter == '.' || letter.is_whitespace());
        (!name.is_empty()).then(|| Self(name.to_owned()))
    }

    /// The name in a `Content-Disposition` as another server wrote it: the extended parameter, else the plain one.
    pub fn from_disposition(value: &str) -> Option<Self> {
        let (_, parameters) = value.split_once(';')?;
        let extended = parameter::find(parameters, "filename*").and_then(|value| {
            let (charset, rest) = value.split_once('\'')?;
            let (_language, name) = rest.split_once('\'')?;
            let name = percent_decode_str(name).decode_utf8().ok()?.into_owned();
            charset.eq_ignore_ascii_case("utf-8").then_some(name)
        });
        extended.or_else(|| parameter::find(parameters, "filename")).as_deref().and_then(Self::clean)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parameters of `Content-Disposition` (RFC 6266): a plain one for old readers, and when that cannot carry the
    /// name, the extended one.
    pub(crate) fn parameters(&self) -> String {
        let plain = |letter: char| match letter {
            '"' | '\\' | '%' => '_',
            ' '..='~' => letter,
            _ => '_',
        };
        let mut text = format!("; filename=\"{}\"", self.0.chars().map(plain).collect::<String>());
        if self.0.chars().any(|letter| plain(letter) != letter) {
            // Writing to a string cannot fail.
            let _written = write!(text, "; filename*=utf-8''{}", utf8_percent_encode(&self.0, ATTR_CHAR));
        }
        text
    }
}

/// Control characters, line and paragraph separators, and what changes the direction or hides: bidi controls, zero-width
/// characters, tags, the byte order mark.
fn is_unsafe(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::FileName;

    fn cleaned(text: &str) -> Option<String> {
        FileName::clean(text).map(|name| name.as_str().to_owned())
    }

    #[test]
    fn a_name_loses_paths_and_what_deceives() {
        assert_eq!(cleaned("cat.png").as_deref(), Some("cat.png"));
        assert_eq!(cleaned("../../etc/passwd").as_deref(), Some("passwd"));
        assert_eq!(cleaned("C:\\Windows\\cmd.exe").as_deref(), Some("cmd.exe"));
        assert_eq!(cleaned("a\r\nSet-Cookie: x").as_deref(), Some("aSet-Cookie: x"));
        assert_eq!(cleaned("invoice\u{202e}gpj.exe").as_deref(), Some("invoicegpj.exe"));
        assert_eq!(cleaned("\u{feff}.\u{200b}.").as_deref(), None);
        assert_eq!(cleaned("  "), None);
        assert_eq!(cleaned(&"ä".repeat(300)).map(|name| name.len()), Some(254));
    }

    #[test]
    fn a_name_cannot_leave_its_quotes() {
        let parameters = |text| FileName::clean(text).map(|name| name.parameters()).unwrap_or_default();
        assert_eq!(parameters("cat.png"), "; filename=\"cat.png\"");
        assert_eq!(parameters("a\"; x=\"b"), "; filename=\"a_; x=_b\"; filename*=utf-8''a%22%3B%20x%3D%22b");
        assert_eq!(parameters("größe.txt"), "; filename=\"gr__e.txt\"; filename*=utf-8''gr%C3%B6%C3%9Fe.txt");
    }

    #[test]
    fn a_name_that_another_server_wrote_is_read_and_cleaned() {
        let read = |text| FileName::from_disposition(text).map(|name| name.as_str().to_owned());
        assert_eq!(read("inline; filename=\"a b.png\"").as_deref(), Some("a b.png"));
        assert_eq!(read("attachment; filename=x; filename*=UTF-8'de'gr%C3%B6%C3%9Fe").as_deref(), Some("größe"));
        assert_eq!(read("inline; filename*=iso-8859-1''a; filename=b").as_deref(), Some("b"));
        assert_eq!(read("inline; filename*=utf-8''..%2F..%2Fpasswd%0d%0a").as_deref(), Some("passwd"));
        assert_eq!(read("inline; filename*=utf-8''%ff"), None);
        assert_eq!(read("inline"), None);
    }

    proptest::proptest! {
        #[test]
        fn a_name_comes_back_as_it_was_sent(text in "\\PC{1,40}") {
            if let Some(name) = FileName::clean(&text) {
                let value = format!("inline{}", name.parameters());
                assert_eq!(FileName::from_disposition(&value), Some(name));
            }
        }

        #[test]
        fn whatever_the_name_the_header_is_one_line_of_ascii(text in "\\PC*|[\\x00-\\x1f\"\\\\%;']{0,40}") {
            if let Some(name) = FileName::clean(&text) {
                let parameters = name.parameters();
                assert!(parameters.bytes().all(|byte| (b' '..=b'~').contains(&byte)), "{parameters:?}");
                let extended = usize::from(parameters.contains("filename*="));
                assert_eq!(parameters.matches('"').count(), 2, "{parameters:?} {extended}");
            }
        }
    }
}
