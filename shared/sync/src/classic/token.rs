//! `since` and `next_batch` of a classic sync.

use tern_model::StreamPos;

use crate::view::{PresencePos, TypingPos};

/// A token: how far the stream, the to-device queue, typing and presence have been told. `s12`, `s12_9` when messages are
/// left over, `s12_12_1700000000000` once somebody typed, and a fourth number once somebody came or went.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) stream: StreamPos,
    pub(crate) to_device: StreamPos,
    pub(crate) typing: TypingPos,
    pub(crate) presence: PresencePos,
}

impl Token {
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.strip_prefix('s')?.split('_').map(|number| number.parse::<u64>().ok());
        let stream = numbers.next()??;
        let to_device = numbers.next().unwrap_or(Some(stream))?;
        let typing = numbers.next().unwrap_or(Some(0))?;
        let presence = numbers.next().unwrap_or(Some(0))?;
        let token = Self {
            stream: StreamPos(stream),
            to_device: StreamPos(to_device),
            typing: TypingPos(typing),
            presence: PresencePos(presence),
        };
        numbers.next().is_none().then_some(token)
    }

    pub(crate) fn text(self) -> String {
        let (stream, to_device) = (self.stream.0, self.to_device.0);
        match (self.typing.0, self.presence.0) {
            (0, 0) if stream == to_device => format!("s{stream}"),
            (0, 0) => format!("s{stream}_{to_device}"),
            (typing, 0) => format!("s{stream}_{to_device}_{typing}"),
            (typing, presence) => format!("s{stream}_{to_device}_{typing}_{presence}"),
        }
    }
}

/// The position in the user's stream that a token names; `None` for a token that is none of ours.
pub(crate) fn position(token: &str) -> Option<StreamPos> {
    Token::parse(token).map(|token| token.stream)
}
