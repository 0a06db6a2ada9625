//! What was told of rooms, as text: a line for each room, so that one is found, or replaced, without reading the others.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use ruma::RoomId;

use crate::json::push_text;
use crate::sent::RoomSentState;

/// One line. Neither JSON nor numbers have tabs or line breaks in them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Line<'a> {
    /// The answer that told it, while that is not acknowledged; else zero.
    pub(crate) answer: u64,
    /// The room's id as a JSON string, a tab, and what was told, as JSON.
    said: &'a str,
    /// All of it.
    text: &'a str,
}

impl<'a> Line<'a> {
    fn read(text: &'a str) -> Option<Self> {
        let end = text.bytes().position(|byte| byte == b'\t')?;
        Some(Self { answer: text.get(..end)?.parse().ok()?, said: text.get(end + 1..)?, text })
    }

    /// Appends the line.
    pub(crate) fn write(&self, out: &mut String) {
        out.push_str(self.text);
        out.push('\n');
    }

    /// Appends the line as one of an answer that is acknowledged.
    fn settle(&self, out: &mut String) {
        if self.answer == 0 {
            return self.write(out);
        }
        out.push_str("0\t");
        out.push_str(self.said);
        out.push('\n');
    }

    /// The room's id.
    pub(crate) fn room_id(&self) -> Option<String> {
        serde_json::from_str(self.room()).ok()
    }

    fn room(&self) -> &'a str {
        self.said.split_once('\t').map_or(self.said, |(room, _)| room)
    }

    fn sent_of(&self, room: &str) -> Option<&'a str> {
        self.said.strip_prefix(room)?.strip_prefix('\t')
    }
}

/// Appends what an answer told of a room.
pub(crate) fn push(out: &mut String, answer: u64, room_id: &RoomId, sent: &RoomSentState) {
    // Writing to a string does not fail.
    let _ = write!(out, "{answer}\t");
    push_text(out, room_id.as_str());
    out.push('\t');
    out.push_str(&serde_json::to_string(sent).unwrap_or_default());
    out.push('\n');
}

/// All lines, oldest first; what cannot be read is none.
pub(crate) fn lines(text: &str) -> impl DoubleEndedIterator<Item = Line<'_>> {
    text.lines().filter_map(Line::read)
}

/// What the newest line of a room says, of those that `counts` lets pass by their answer. A room whose line cannot be read
/// is unknown, so that it is sent again, from scratch.
pub(crate) fn find(text: &str, room_id: &RoomId, counts: impl Fn(u64) -> bool) -> Option<RoomSentState> {
    let room = quoted(room_id);
    let sent = lines(text).rev().find_map(|line| line.sent_of(&room).filter(|_| counts(line.answer)))?;
    serde_json::from_str(sent).ok()
}

/// Brings lines up to date by newer ones; of both, each room has one.
pub(crate) fn renew<'a>(lines: &mut Vec<Line<'a>>, newer: &[Line<'a>]) {
    let rooms: BTreeSet<_> = newer.iter().map(Line::room).collect();
    lines.retain(|line| !rooms.contains(line.room()));
    lines.extend(newer);
}

/// The text of lines that are acknowledged.
pub(crate) fn settled(lines: &[Line<'_>]) -> String {
    let mut text = String::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
    for line in lines {
        line.settle(&mut text);
    }
    text
}

fn quoted(room_id: &RoomId) -> String {
    let mut text = String::with_capacity(room_id.as_str().len() + 2);
    push_text(&mut text, room_id.as_str());
    text
}

#[cfg(test)]
mod tests {
    use ruma::{RoomId, room_id};
    use tern_model::RoomSeq;

    use super::{find, lines, push, renew, settled};
    use crate::sent::RoomSentState;

    fn sent(seq: u64) -> RoomSentState {
        RoomSentState { seq: RoomSeq(seq), members: vec![seq], ..RoomSentState::default() }
    }

    #[test]
    fn the_newest_line_that_counts_is_found() {
        let odd = <&RoomId>::try_from("!a\tb\n\"c\\:x").unwrap();
        let mut text = String::new();
        for (answer, room_id, seq) in
            [(0, odd, 1), (0, room_id!("!b:x"), 2), (4, odd, 3), (5, odd, 4), (4, room_id!("!c:x"), 5)]
        {
            push(&mut text, answer, room_id, &sent(seq));
        }
        assert_eq!(find(&text, odd, |answer| answer == 0), Some(sent(1)));
        assert_eq!(find(&text, odd, |answer| answer == 0 || answer == 4), Some(sent(3)));
        assert_eq!(find(&text, room_id!("!c:x"), |answer| answer == 0), None);
        assert_eq!(find(&text, room_id!("!b"), |_| true), None);
        let of = |answer| lines(&text).filter(move |line| line.answer == answer);
        let mut settling: Vec<_> = of(0).collect();
        renew(&mut settling, &of(4).collect::<Vec<_>>());
        let text = settled(&settling);
        let kept: Vec<_> = lines(&text).map(|line| (line.answer, line.room_id().unwrap())).collect();
        assert_eq!(kept, [(0, "!b:x".to_owned()), (0, odd.to_string()), (0, "!c:x".to_owned())]);
        assert_eq!(find(&text, odd, |answer| answer == 0), Some(sent(3)));
    }

    #[test]
    fn a_damaged_line_costs_no_other() {
        let mut text = "nonsense\n7\t\"!a:x\"\n0\t\"!b:x\"\t{\n".to_owned();
        push(&mut text, 0, room_id!("!a:x"), &sent(1));
        assert_eq!(find(&text, room_id!("!a:x"), |_| true), Some(sent(1)));
        assert_eq!(find(&text, room_id!("!b:x"), |_| true), None);
    }
}
