//! Canonical JSON (Appendices) as requests and keys are signed over it: with every number as it was written.
//!
//! Rooms of versions 1 to 5 know fractions and numbers beyond 2^53, and an event with one of them may travel in a transaction
//! beside others. What the sender signed is its own text, in which a number is written in some way; to read it as a number and
//! write it again would be to guess which. So tokens of numbers are copied, and only blanks, the order of members and the
//! escapes in strings become canonical. Of two members of one name the last counts, as it does for those who read them.

use std::{borrow::Cow, mem};

use serde::de::IgnoredAny;

/// Deepest nesting that is read.
const DEEPEST: usize = 100;

/// Why a text cannot be made canonical.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CanonicalError {
    /// It is no JSON in UTF-8.
    #[error("The body is not JSON")]
    NotJson,
    /// It is no object.
    #[error("The body must be a JSON object")]
    NotAnObject,
    /// It is nested too deeply.
    #[error("The body is nested too deeply")]
    TooDeep,
}

/// The canonical form of an object.
///
/// # Errors
/// [`CanonicalError`].
pub fn object(text: &[u8]) -> Result<String, CanonicalError> {
    object_without(text, &[])
}

/// The canonical form of an object, less these of its own members.
///
/// # Errors
/// [`CanonicalError`].
pub fn object_without(text: &[u8], left_out: &[&str]) -> Result<String, CanonicalError> {
    let text = std::str::from_utf8(text).map_err(|_| CanonicalError::NotJson)?;
    // From here on the grammar is known to hold; the walk looks only for where things begin and end.
    serde_json::from_str::<IgnoredAny>(text).map_err(|_| CanonicalError::NotJson)?;
    let mut walk = Walk { rest: text.trim_start_matches(BLANKS), written: String::with_capacity(text.len()) };
    if !walk.rest.starts_with('{') {
        return Err(CanonicalError::NotAnObject);
    }
    walk.object(DEEPEST, left_out)?;
    Ok(walk.written)
}

const BLANKS: [char; 4] = [' ', '\t', '\n', '\r'];

struct Walk<'a> {
    rest: &'a str,
    written: String,
}

/// A member in what is written: its name, and where name and value are.
struct Member<'a> {
    name: Cow<'a, str>,
    from: usize,
    until: usize,
}

impl<'a> Walk<'a> {
    fn value(&mut self, deeper: usize) -> Result<(), CanonicalError> {
        match self.peek() {
            Some('{') => self.object(within(deeper)?, &[]),
            Some('[') => self.array(within(deeper)?),
            Some('"') => self.string().map(|_| ()),
            Some(_) => {
                let end = self.rest.find(|char: char| ",]}".contains(char) || BLANKS.contains(&char));
                let (token, rest) = self.split(end.unwrap_or(self.rest.len()))?;
                self.rest = rest;
                self.written.push_str(token);
                Ok(())
            }
            None => Err(CanonicalError::NotJson),
        }
    }

    fn array(&mut self, deeper: usize) -> Result<(), CanonicalError> {
        self.pass('[')?;
        self.written.push('[');
        while self.peek() != Some(']') {
            if self.peek() == Some(',') {
                self.pass(',')?;
                self.written.push(',');
            }
            self.value(deeper)?;
        }
        self.pass(']')?;
        self.written.push(']');
        Ok(())
    }

    fn object(&mut self, deeper: usize, left_out: &[&str]) -> Result<(), CanonicalError> {
        self.pass('{')?;
        let begin = self.written.len();
        let mut members: Vec<Member<'a>> = Vec::new();
        while self.peek() != Some('}') {
            if self.peek() == Some(',') {
                self.pass(',')?;
            }
            self.peek();
            let from = self.written.len();
            let name = self.string()?;
            self.peek();
            self.pass(':')?;
            self.written.push(':');
            self.value(deeper)?;
            if left_out.contains(&&*name) {
                self.written.truncate(from);
            } else {
                members.push(Member { name, from, until: self.written.len() });
            }
        }
        self.pass('}')?;
        self.sort(begin, members);
        Ok(())
    }

    /// Puts the members that were written since `begin` into order, between braces.
    fn sort(&mut self, begin: usize, mut members: Vec<Member<'a>>) {
        members.sort_by(|a, b| a.name.cmp(&b.name));
        let written = self.written.split_off(begin);
        self.written.push('{');
        let mut members = members.into_iter().peekable();
        let mut first = true;
        while let Some(Member { name, from, until }) = members.next() {
            // The order is stable, so the last of equal names is the last that was written.
            if members.peek().is_some_and(|next| next.name == name) {
                continue;
            }
            if !mem::take(&mut first) {
                self.written.push(',');
            }
            self.written.push_str(written.get(from - begin..until - begin).unwrap_or_default());
        }
        self.written.push('}');
    }

    /// Writes a string and says what is in it.
    fn string(&mut self) -> Result<Cow<'a, str>, CanonicalError> {
        let (token, rest) = self.split(end_of_string(self.rest).ok_or(CanonicalError::NotJson)?)?;
        self.rest = rest;
        if !token.contains('\\') {
            self.written.push_str(token);
            return Ok(Cow::Borrowed(token.trim_matches('"')));
        }
        let content: String = serde_json::from_str(token).map_err(|_| CanonicalError::NotJson)?;
        let token = serde_json::to_string(&content).map_err(|_| CanonicalError::NotJson)?;
        self.written.push_str(&token);
        Ok(Cow::Owned(content))
    }

    /// What comes next, after blanks.
    fn peek(&mut self) -> Option<char> {
        self.rest = self.rest.trim_start_matches(BLANKS);
        self.rest.chars().next()
    }

    fn pass(&mut self, char: char) -> Result<(), CanonicalError> {
        self.rest = self.rest.strip_prefix(char).ok_or(CanonicalError::NotJson)?;
        Ok(())
    }

    fn split(&self, at: usize) -> Result<(&'a str, &'a str), CanonicalError> {
        self.rest.split_at_checked(at).ok_or(CanonicalError::NotJson)
    }
}

/// How much deeper what is in a value may be.
fn within(deeper: usize) -> Result<usize, CanonicalError> {
    deeper.checked_sub(1).ok_or(CanonicalError::TooDeep)
}

/// Where the string ends that a text begins with, its quotation marks included.
fn end_of_string(text: &str) -> Option<usize> {
    let mut escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(at + 1),
            _ => {}
        }
    }
    None
}
