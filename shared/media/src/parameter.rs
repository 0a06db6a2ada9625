//! Parameters of header values, `; name=value` or `; name="value"` (RFC 9110, 5.6.6).

/// The parameter `wanted` of what follows the first semicolon of a header's value, without its quotes.
pub(crate) fn find(parameters: &str, wanted: &str) -> Option<String> {
    let mut rest = parameters;
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches(|letter: char| letter == ';' || letter.is_whitespace());
        let (value, after) = value(after.trim_start());
        if name.eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = after;
    }
    None
}

/// A value and what follows it.
fn value(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let (value, after) = text.split_once(';').unwrap_or((text, ""));
        return (value.trim_end().to_owned(), after);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, quoted.get(at + 1..).unwrap_or_default()),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_parameter_is_found_in_or_out_of_quotes() {
        let parameters = " charset=UTF-8; filename=\"a; b=\\\"c\\\".png\" ; Boundary = x";
        assert_eq!(find(parameters, "charset").as_deref(), Some("UTF-8"));
        assert_eq!(find(parameters, "filename").as_deref(), Some("a; b=\"c\".png"));
        assert_eq!(find(parameters, "boundary").as_deref(), Some("x"));
        assert_eq!(find(parameters, "b"), None);
        assert_eq!(find("a=\"never ends", "a").as_deref(), Some("never ends"));
        assert_eq!(find("", "a"), None);
    }

    proptest::proptest! {
        #[test]
        fn whatever_the_header_it_comes_to_an_end(text in "\\PC{0,60}|[a=;\"\\\\ ]{0,30}") {
            assert!(find(&text, "a").is_none_or(|value| value.len() <= text.len()));
        }
    }
}
