//! Glob patterns (Appendices, "Glob-style matching"), without regard to case.
//!
//! All places of a pattern that a text may have reached are kept as one set of bits, so that a step is a few operations
//! whatever the pattern is. Patterns have a greatest length, and an event may cost a limited number of steps.

use std::cell::Cell;

use crate::folded::Folded;

/// Most signs of a pattern.
const MOST_SIGNS: usize = 256;
const WORDS: usize = MOST_SIGNS / 64 + 1;

/// Steps that one event may cost, all rules together: more than a hundred rules take for the longest message, and some
/// tens of milliseconds. A pattern that would take more does not match.
const MOST_STEPS: usize = 8 << 20;

/// Characters of each text that cost nothing, so that short fields can always be looked at.
const FREE: usize = MOST_SIGNS + 1;

/// Steps left for an event.
#[derive(Clone, Debug)]
pub(crate) struct Steps(Cell<usize>);

impl Default for Steps {
    fn default() -> Self {
        Self(Cell::new(MOST_STEPS))
    }
}

impl Steps {
    fn take(&self, number: usize) -> bool {
        let left = self.0.get().checked_sub(number);
        self.0.set(left.unwrap_or_default());
        left.is_some()
    }
}

/// Places in a pattern, a bit each: before every sign, and behind the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Places([u64; WORDS]);

impl Places {
    fn add(&mut self, place: usize) {
        if let Some(word) = self.0.get_mut(place / 64) {
            *word |= 1 << (place % 64);
        }
    }

    fn has(&self, place: usize) -> bool {
        self.0.get(place / 64).is_some_and(|word| word >> (place % 64) & 1 == 1)
    }
}

const NOWHERE: Places = Places([0; WORDS]);

/// A pattern, read once and tried in one pass over a text.
#[derive(Clone, Debug, Default)]
pub(crate) struct Glob {
    /// Number of signs.
    length: usize,
    /// Before each `?`.
    any: Places,
    /// Before each `*`, if there are any.
    many: Places,
    has_many: bool,
    /// Before each of these characters, which are in order.
    chars: Vec<(char, Places)>,
}

impl Glob {
    /// Reads a pattern; nothing when it is longer than any that is tried.
    pub(crate) fn new(pattern: &str) -> Option<Self> {
        Self::read(pattern, true)
    }

    /// A text that is no pattern, whatever signs are in it.
    pub(crate) fn literal(text: &str) -> Option<Self> {
        Self::read(text, false)
    }

    fn read(text: &str, signs: bool) -> Option<Self> {
        let mut glob = Self { chars: Vec::with_capacity(text.len().min(MOST_SIGNS)), ..Self::default() };
        for char in text.chars().flat_map(char::to_lowercase) {
            let place = glob.length;
            match char {
                // Many of many are many.
                '*' if signs && glob.ends_with_many() => continue,
                '*' if signs => {
                    glob.has_many = true;
                    glob.many.add(place);
                }
                '?' if signs => glob.any.add(place),
                char => glob.add(char, place),
            }
            glob.length += 1;
            if glob.length > MOST_SIGNS {
                return None;
            }
        }
        Some(glob)
    }

    fn add(&mut self, char: char, place: usize) {
        let at = self.chars.binary_search_by_key(&char, |(char, _)| *char).unwrap_or_else(|at| {
            self.chars.insert(at, (char, Places::default()));
            at
        });
        if let Some((_, places)) = self.chars.get_mut(at) {
            places.add(place);
        }
    }

    fn ends_with_many(&self) -> bool {
        self.length.checked_sub(1).is_some_and(|last| self.many.has(last))
    }

    /// The pattern matches the whole text.
    pub(crate) fn matches(&self, text: &str, steps: &Steps) -> bool {
        self.walk(text, steps, |before| before.is_none(), |after| after.is_none())
    }

    /// The pattern matches a part of the text that begins and ends at word boundaries.
    pub(crate) fn matches_words(&self, text: &str, steps: &Steps) -> bool {
        let boundary = |char: Option<char>| char.is_none_or(|char| !char.is_ascii_alphanumeric() && char != '_');
        self.walk(text, steps, boundary, boundary)
    }

    /// Tries the pattern from every place where `begins` holds of the character before it, at once.
    fn walk(
        &self,
        text: &str,
        steps: &Steps,
        begins: impl Fn(Option<char>) -> bool,
        ends: impl Fn(Option<char>) -> bool,
    ) -> bool {
        let words = self.length / 64 + 1;
        let mut at = Places::default();
        let (mut before, mut reached, mut free) = (None, false, FREE);
        let mut rest = Folded::new(text);
        loop {
            if begins(before) {
                at.add(0);
                reached = true;
            }
            if reached && self.has_many {
                self.pass_stars(&mut at, words);
            }
            let next = rest.next();
            if at.has(self.length) && (self.ends_with_many() || ends(next)) {
                return true;
            }
            free = free.saturating_sub(1);
            let Some(char) = next.filter(|_| free > 0 || steps.take(words)) else { return false };
            reached = reached && self.step(&mut at, char, words);
            before = Some(char);
        }
    }

    /// `*` may stand for nothing.
    fn pass_stars(&self, at: &mut Places, words: usize) {
        let mut carry = 0;
        for (at, many) in at.0.iter_mut().zip(&self.many.0).take(words) {
            let stars = *at & many;
            *at |= stars << 1 | carry;
            carry = stars >> 63;
        }
    }

    /// Whether any place is reached.
    fn step(&self, at: &mut Places, char: char, words: usize) -> bool {
        let found = self.chars.binary_search_by_key(&char, |(char, _)| *char).ok();
        let here = found.and_then(|index| self.chars.get(index)).map_or(&NOWHERE, |(_, places)| places);
        let (mut carry, mut reached) = (0, 0);
        let signs = self.any.0.iter().zip(&self.many.0).zip(&here.0);
        for (at, ((any, many), here)) in at.0.iter_mut().zip(signs).take(words) {
            let moved = *at & (any | here);
            *at = moved << 1 | carry | (*at & many);
            carry = moved >> 63;
            reached |= *at;
        }
        reached != 0
    }
}

#[cfg(test)]
mod tests {
    use super::{Glob, MOST_SIGNS, Steps};

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
            let (glob, steps) = (Glob::new(pattern).unwrap(), Steps::default());
            assert!(yes.iter().all(|text| glob.matches(text, &steps)), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(|text| glob.matches(text, &steps)), "{pattern} does not match {no:?}");
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
            let (glob, steps) = (Glob::new(pattern).unwrap(), Steps::default());
            assert!(yes.iter().all(|text| glob.matches_words(text, &steps)), "{pattern} matches {yes:?}");
            assert!(!no.iter().any(|text| glob.matches_words(text, &steps)), "{pattern} does not match {no:?}");
        }
    }

    #[test]
    fn signs_are_found_wherever_they_stand_in_a_long_pattern() {
        for place in [0, 1, 62, 63, 64, 127, 128, MOST_SIGNS - 1] {
            let text: String = (0..MOST_SIGNS).map(|at| if at == place { 'b' } else { 'a' }).collect();
            let steps = Steps::default();
            assert!(Glob::new(&text).unwrap().matches(&text, &steps));
            assert!(Glob::new(&text.replace('b', "?")).unwrap().matches(&text, &steps));
            assert!(Glob::new(&text.replace('b', "*")).unwrap().matches(&text.replace('b', ""), &steps));
            assert!(!Glob::new(&text).unwrap().matches(&text.replace('b', "c"), &steps));
        }
        assert!(Glob::new(&"a".repeat(MOST_SIGNS + 1)).is_none());
        assert!(Glob::new(&"*".repeat(MOST_SIGNS + 1)).is_some());
    }
}
