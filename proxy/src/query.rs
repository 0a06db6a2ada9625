//! The query of a URL, and the body of a form, which is written likewise.

/// The pairs of a query, or of a form's body, decoded.
pub(crate) fn parse_query(query: &str) -> Vec<(String, String)> {
    form_urlencoded::parse(query.as_bytes()).into_owned().collect()
}

#[cfg(test)]
mod tests {
    use super::parse_query;

    #[test]
    fn a_query_is_decoded_pairs() {
        let pairs =
            [("a b", "%"), ("c", ""), ("d", "=\u{fffd}")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(parse_query("a+b=%25&c&&d==%ff"), pairs);
    }
}
