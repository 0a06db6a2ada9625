//! Reading what another homeserver sends, which may be anything.

use memchr::memmem;

use super::Described;
use crate::{FileName, parameter, serve};

/// Longest part that is not content: the first one, and the headers of each, in bytes.
const MAX_TEXT: usize = 16 << 10;

/// Longest boundary (RFC 2046, 5.1.1).
const MAX_BOUNDARY: usize = 70;

/// The answer is not what the specification asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// What a piece of the answer brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// The content follows.
    Content(Described),
    /// The content is not here but at this URL, which is as the other server wrote it.
    Elsewhere(String),
    /// Some bytes of the content, never none.
    Bytes(Vec<u8>),
    /// The end of the content.
    End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Up to and with the first boundary.
    Preamble,
    /// The headers of the first part.
    Headers,
    /// The first part itself.
    Metadata,
    /// The headers of the second part.
    Description,
    /// The second part itself.
    Content,
    /// Behind it.
    Over,
}

/// Takes an answer apart as it comes, holding back no more of the content than could be the beginning of a boundary.
#[derive(Clone, Debug)]
pub struct Reader {
    /// What ends a part: line break, two hyphens, the boundary.
    delimiter: Vec<u8>,
    state: State,
    held: Vec<u8>,
}

impl Reader {
    /// A reader of an answer with this `Content-Type`.
    ///
    /// # Errors
    /// It is not `multipart/mixed`, or has no proper boundary.
    pub fn of(content_type: &str) -> Result<Self, Malformed> {
        let (essence, parameters) = content_type.split_once(';').ok_or(Malformed)?;
        if !essence.trim().eq_ignore_ascii_case("multipart/mixed") {
            return Err(Malformed);
        }
        let boundary = parameter::find(parameters, "boundary").ok_or(Malformed)?;
        let proper = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        if boundary.is_empty() || boundary.len() > MAX_BOUNDARY || !boundary.bytes().all(proper) {
            return Err(Malformed);
        }
        // The first boundary may stand at the very beginning, where no line breaks before it.
        Ok(Self { delimiter: format!("\r\n--{boundary}").into_bytes(), state: State::Preamble, held: b"\r\n".to_vec() })
    }

    /// What `piece` adds.
    ///
    /// # Errors
    /// The answer is malformed, or its parts before the content are too long.
    pub fn push(&mut self, piece: &[u8]) -> Result<Vec<Event>, Malformed> {
        let mut events = Vec::new();
        if self.state == State::Over {
            return Ok(events);
        }
        self.held.extend_from_slice(piece);
        while self.step(&mut events)? {}
        if self.state != State::Content && self.held.len() > MAX_TEXT {
            return Err(Malformed);
        }
        Ok(events)
    }

    /// The answer has ended.
    ///
    /// # Errors
    /// In the middle.
    pub fn finish(&self) -> Result<(), Malformed> {
        if self.state == State::Over { Ok(()) } else { Err(Malformed) }
    }

    /// How many bytes are held back.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.held.len()
    }

    /// One step; false when it takes more bytes.
    fn step(&mut self, events: &mut Vec<Event>) -> Result<bool, Malformed> {
        match self.state {
            State::Preamble => Ok(self.part()? && self.turn(State::Headers)),
            State::Headers => Ok(self.headers()?.is_some() && self.turn(State::Metadata)),
            State::Metadata => Ok(self.part()? && self.turn(State::Description)),
            State::Description => Ok(self.headers()?.is_some_and(|headers| self.describe(&headers, events))),
            State::Content => Ok(self.content(events)),
            State::Over => Ok(false),
        }
    }

    fn turn(&mut self, state: State) -> bool {
        self.state = state;
        true
    }

    /// Tells what the second part is; whether content follows.
    fn describe(&mut self, headers: &[(String, String)], events: &mut Vec<Event>) -> bool {
        let value = |wanted: &str| headers.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.as_str());
        if let Some(url) = value("location") {
            events.push(Event::Elsewhere(url.to_owned()));
            self.held.clear();
            self.state = State::Over;
            return false;
        }
        events.push(Event::Content(Described {
            content_type: serve::content_type(value("content-type")),
            name: value("content-disposition").and_then(FileName::from_disposition),
        }));
        self.turn(State::Content)
    }

    /// Takes the line that ends a part; whether it is there.
    fn part(&mut self) -> Result<bool, Malformed> {
        let Some(at) = find(&self.held, &self.delimiter) else { return Ok(false) };
        let after = at + self.delimiter.len();
        let rest = self.held.get(after..).unwrap_or_default();
        let Some(length) = find(rest, b"\r\n") else { return Ok(false) };
        // Padding may follow; two hyphens would end everything.
        if rest.iter().take(length).any(|byte| !b" \t".contains(byte)) {
            return Err(Malformed);
        }
        self.held.drain(..after + length + 2);
        Ok(true)
    }

    /// Takes the headers of a part and the empty line behind them.
    fn headers(&mut self) -> Result<Option<Vec<(String, String)>>, Malformed> {
        if self.held.starts_with(b"\r\n") {
            self.held.drain(..2);
            return Ok(Some(Vec::new()));
        }
        let Some(end) = find(&self.held, b"\r\n\r\n") else { return Ok(None) };
        let block: Vec<u8> = self.held.drain(..end + 4).take(end).collect();
        let block = String::from_utf8(block).map_err(|_| Malformed)?;
        block.split("\r\n").map(header).collect::<Result<_, _>>().map(Some)
    }

    /// Passes content on; no step follows.
    fn content(&mut self, events: &mut Vec<Event>) -> bool {
        let (end, over) = match find(&self.held, &self.delimiter) {
            Some(at) => (at, true),
            None => (self.held.len().saturating_sub(overlap(&self.held, &self.delimiter)), false),
        };
        let bytes: Vec<u8> = self.held.drain(..end).collect();
        if !bytes.is_empty() {
            events.push(Event::Bytes(bytes));
        }
        if over {
            events.push(Event::End);
            self.held.clear();
            self.state = State::Over;
        }
        false
    }
}

fn header(line: &str) -> Result<(String, String), Malformed> {
    let (name, value) = line.split_once(':').ok_or(Malformed)?;
    if value.contains(|letter: char| letter.is_control() && letter != '\t') {
        return Err(Malformed);
    }
    Ok((name.trim().to_ascii_lowercase(), value.trim().to_owned()))
}

fn find(text: &[u8], wanted: &[u8]) -> Option<usize> {
    memmem::find(text, wanted)
}

/// How many bytes at the end of `text` could be the beginning of `wanted`.
fn overlap(text: &[u8], wanted: &[u8]) -> usize {
    let longest = text.len().min(wanted.len().saturating_sub(1));
    (1..=longest).rev().find(|length| wanted.get(..*length).is_some_and(|begin| text.ends_with(begin))).unwrap_or(0)
}
