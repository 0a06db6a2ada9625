//! Glob patterns (Appendices, "Glob-style matching"), without regard to case.

/// One sign of a pattern.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sign {
    Char(char),
    /// `?`
    Any,
    /// `*`
    Many,
}

/// A pattern, read once and tried in one pass over a text: time is bounded by length of pattern × length of text.
#[derive(Clone, Debug)]
pub(crate) struct Glob(Vec<Sign>);

impl Glob {
    pub(crate) fn new(pattern: &str) -> Self {
        let sign = |char| match char {
            '?' => Sign::Any,
            '*' => Sign::Many,
            char => Sign::Char(char),
        };
        Self(pattern.chars().flat_map(char::to_lowercase).map(sign).collect())
    }

    /// A text that is no pattern, whatever signs are in it.
    pub(crate) fn literal(text: &str) -> Self {
        Self(text.chars().flat_map(char::to_lowercase).map(Sign::Char).collect())
    }

    /// The pattern matches the whole text.
    pub(crate) fn matches(&self, text: &str) -> bool {
        let literal = self.0.iter().all(|sign| matches!(sign, Sign::Char(_)));
        if literal {
            return text.chars().flat_map(char::to_lowercase).map(Sign::Char).eq(self.0.iter().copied());
        }
        self.walk(text, |before| before.is_none(), |after| after.is_none())
    }

    /// The pattern matches a part of the text that begins and ends at word boundaries.
    pub(crate) fn matches_words(&self, text: &str) -> bool {
        let boundary = |char: Option<char>| char.is_none_or(|char| !char.is_ascii_alphanumeric() && char != '_');
        self.walk(text, boundary, boundary)
    }

    /// Tries the pattern from every place where `begins` holds of the sign before it, at once.
    fn walk(&self, text: &str, begins: impl Fn(Option<char>) -> bool, ends: impl Fn(Option<char>) -> bool) -> bool {
        let mut at = vec![false; self.0.len() + 1];
        let mut before = None;
        let mut rest = text.chars().flat_map(char::to_lowercase);
        loop {
            if begins(before)
                && let Some(start) = at.first_mut()
            {
                *start = true;
            }
            self.pass_stars(&mut at);
            let next = rest.next();
            if at.last() == Some(&true) && ends(next) {
                return true;
            }
            let Some(char) = next else { return false };
            self.step(&mut at, char);
            before = Some(char);
        }
    }

    /// `*` may stand for nothing.
    fn pass_stars(&self, at: &mut [bool]) {
        let mut reached = false;
        for (place, sign) in at.iter_mut().zip(self.0.iter().map(Some).chain([None])) {
            *place |= reached;
            reached = *place && sign == Some(&Sign::Many);
        }
    }

    fn step(&self, at: &mut [bool], char: char) {
        let mut arrives = false;
        for (place, sign) in at.iter_mut().zip(self.0.iter().map(Some).chain([None])) {
            let was = *place;
            *place = arrives || (was && sign == Some(&Sign::Many));
            arrives = was && (sign == Some(&Sign::Any) || sign == Some(&Sign::Char(char)));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Glob;

    #[test]
    fn a_pattern_matches_the_whole_value() {
        for (pattern, yes, no) in [
            ("lunc?*", &["Lunch plans", "LUNCH"][..], &[" lunch", "lunc"][..]),
            ("", &[""], &["x"]),
            ("*", &["", "x"], &[]),
            ("m.notice", &["m.notice", "M.Notice"], &["m.notices", "mxnotice"]),
            ("a*b*c", &["abc", "aXXbYYc", "abbcc"], &["ab", "abcd"]),
            ("??", &["ab", "éß"], &["a", "abc"]),
        ] {
            let glob = Glob::new(pattern);
            assert!(yes.iter().all(|text| glob.matches(text)), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(|text| glob.matches(text)), "{pattern} does not match {no:?}");
        }
    }

    #[test]
    fn in_a_body_a_pattern_matches_between_word_boundaries() {
        for (pattern, yes, no) in [
            ("ex*ple", &["An example event.", "exple", "An exciting triple-whammy"][..], &["sexample", "examples"][..]),
            ("cake", &["cake", "cheese-cake!", "Cake"], &["cakes", "pan_cake", "pancake"]),
            ("@room", &["hi @room", "@room: hi"], &["a@room", "@rooms"]),
            ("foo bar", &["a foo bar"], &["foo  bar", "foo"]),
        ] {
            let glob = Glob::new(pattern);
            assert!(yes.iter().all(|text| glob.matches_words(text)), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(|text| glob.matches_words(text)), "{pattern} does not match {no:?}");
        }
    }
}
