//! Text without regard to case.

use std::{char::ToLowercase, str::Chars};

/// The characters of a text, without regard to case.
pub(crate) struct Folded<'a> {
    chars: Chars<'a>,
    /// What is left of one that became several.
    more: Option<ToLowercase>,
}

impl<'a> Folded<'a> {
    pub(crate) fn new(text: &'a str) -> Self {
        Self { chars: text.chars(), more: None }
    }
}

impl Iterator for Folded<'_> {
    type Item = char;

    fn next(&mut self) -> Option<char> {
        if let Some(char) = self.more.as_mut().and_then(Iterator::next) {
            return Some(char);
        }
        let char = self.chars.next()?;
        if char.is_ascii() {
            return Some(char.to_ascii_lowercase());
        }
        let mut folded = char.to_lowercase();
        let first = folded.next();
        self.more = Some(folded);
        first
    }
}
