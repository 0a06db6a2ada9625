//! `pos` of sliding sync: a number in base 36 after `p`, and after an underscore how far typing was told.
//!
//! The number says at which position of the user's stream the answer was given, which answer at that position it is, and
//! in its last three decimal digits which connection's. So a `pos` names a place in every room, however old it is.

use tern_model::StreamPos;

use crate::view::TypingPos;

/// A `pos` ends in three digits that mark its connection.
pub(crate) const MARKS: u64 = 1_000;
/// Answers of a connection at one position of the stream. Of more, numbers run ahead of the stream until it has moved on.
const ANSWERS: u64 = 16;
const RADIX: u32 = 36;

/// A `pos`, read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Pos {
    /// Which answer.
    pub(crate) number: u64,
    /// Of which connection.
    pub(crate) mark: u64,
    pub(crate) typing: Option<TypingPos>,
}

impl Pos {
    /// Reads a `pos`. Those of earlier builds were decimal and told nothing of the stream: `None` for these.
    pub(crate) fn read(text: &str) -> Option<Self> {
        Self::read_as(text.strip_prefix('p')?, RADIX)
    }

    /// Reads a `pos` of this build or of an earlier one.
    pub(crate) fn read_any(text: &str) -> Option<Self> {
        Self::read(text).or_else(|| Self::read_as(text, 10))
    }

    fn read_as(text: &str, radix: u32) -> Option<Self> {
        let (number, typing) = match text.split_once('_') {
            Some((number, typing)) => (number, Some(TypingPos(typing.parse().ok()?))),
            None => (text, None),
        };
        // A sign is no digit.
        let digits = number.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_lowercase());
        let number = u64::from_str_radix(number, radix).ok().filter(|number| digits && *number >= MARKS)?;
        Some(Self { number: number / MARKS, mark: number % MARKS, typing })
    }

    pub(crate) fn text(self) -> String {
        let mut digits = [0; 13];
        let mut left = self.number.saturating_mul(MARKS).saturating_add(self.mark);
        let mut length = 0;
        for place in digits.iter_mut().rev() {
            let digit = u32::try_from(left % u64::from(RADIX)).unwrap_or_default();
            *place = char::from_digit(digit, RADIX).and_then(|digit| u8::try_from(digit).ok()).unwrap_or(b'0');
            left /= u64::from(RADIX);
            length += 1;
            if left == 0 {
                break;
            }
        }
        let mut text = String::with_capacity(length + 1);
        text.push('p');
        text.extend(digits.iter().skip(digits.len() - length).map(|digit| char::from(*digit)));
        if let Some(typing) = self.typing {
            text.push('_');
            text.push_str(&typing.0.to_string());
        }
        text
    }

    /// Where the user's stream was when the answer was given.
    pub(crate) const fn at(self) -> StreamPos {
        StreamPos(self.number / ANSWERS)
    }
}

/// The least number of an answer given at `at`.
pub(crate) const fn number_at(at: StreamPos) -> u64 {
    let number = at.0 * ANSWERS;
    if number == 0 { 1 } else { number }
}

#[cfg(test)]
mod tests {
    use tern_model::StreamPos;

    use super::{Pos, number_at};
    use crate::view::TypingPos;

    #[test]
    fn a_pos_tells_where_the_stream_was() {
        for at in [0, 1, 9, 35, 36, 1_000, 123_456_789, 1 << 40] {
            let typing = Some(TypingPos(1_700_000_000_000)).filter(|_| at % 2 == 1);
            let pos = Pos { number: number_at(StreamPos(at)), mark: 42, typing };
            assert_eq!(Pos::read(&pos.text()), Some(pos), "{}", pos.text());
            assert_eq!(pos.at(), StreamPos(at));
            let later = Pos { number: pos.number + 14, ..pos };
            assert_eq!(later.at(), StreamPos(at), "fifteen answers at one position");
        }
    }

    #[test]
    fn what_is_no_pos_is_not_read() {
        for none in
            ["", "p", "p_", "p+5zz", "p-zz", "pZZZ", "p1", "pzzzzzzzzzzzzzzzz", "p3f9_", "p3f9_1_2", "t12", "s12"]
        {
            assert_eq!(Pos::read(none), None, "{none}");
        }
        assert_eq!(Pos::read("12345"), None, "of an earlier build");
        assert_eq!(Pos::read_any("12345_6"), Some(Pos { number: 12, mark: 345, typing: Some(TypingPos(6)) }));
    }
}
