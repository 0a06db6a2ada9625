//! Remembering answers, and what they told of rooms.

use std::cell::OnceCell;

use ruma::OwnedRoomId;
use tern_model::RawJson;

use super::Connection;
use crate::fold::Fold;
use crate::lines;
use crate::sent::{Parts, RoomSentState};
use crate::sent_answers::{Answer, BODIES, Body, Kept, SentState, Variant};

/// Most answers remembered at a time, besides the one that led to `pos`.
const MAX_VARIANTS: usize = 3;
/// Longest answer remembered.
const LONGEST_BODY: usize = 512 << 10;
/// Most bytes of answers: a row holds 2 MB.
const MOST_WEIGHT: usize = 1 << 20;

impl Connection {
    /// Remembers an answer and what it told of rooms; what is to become of the bodies comes out. [`Self::fold`] comes
    /// first.
    pub(crate) fn variant<'a>(
        &mut self,
        sent: SentState,
        rooms: impl IntoIterator<Item = (&'a OwnedRoomId, &'a RoomSentState)>,
        body: &RawJson,
    ) -> Vec<Body> {
        while self.variants.len() >= MAX_VARIANTS {
            self.drop_oldest();
        }
        let length = body.text().len();
        let place = (0..BODIES).find(|place| !self.holds(*place)).filter(|_| length <= LONGEST_BODY);
        let kept = place.map(|place| Kept { place, length });
        let answer = Answer { from: self.pos, to: self.next, request: sent.request, kept };
        let mut lines = self.rooms.take().unwrap_or_default();
        for (room_id, sent) in rooms {
            lines::push(&mut lines, answer.to, room_id, sent);
        }
        self.rooms = OnceCell::from(lines);
        self.variants.push(Variant { sent: sent.into(), answer });
        self.next += 1;
        while self.variants.len() > 1 && self.weight() > MOST_WEIGHT {
            self.drop_oldest();
        }
        if self.weight() > MOST_WEIGHT {
            self.last = None;
        }
        let mut bodies = self.bodies();
        if let Some(slot) = place.and_then(|place| bodies.get_mut(usize::from(place))) {
            *slot = Body::Put(body.clone());
        }
        bodies
    }

    fn drop_oldest(&mut self) {
        let dropped = self.variants.remove(0).answer.to;
        let mut kept = String::with_capacity(self.rooms().len());
        let lines = lines::lines(self.rooms()).filter(|line| line.answer != dropped);
        lines.for_each(|line| line.write(&mut kept));
        self.rooms = OnceCell::from(kept);
    }

    /// What is to become of the bodies when no answer was added.
    pub(crate) fn bodies(&self) -> Vec<Body> {
        (0..BODIES).map(|place| if self.holds(place) { Body::Stay } else { Body::Clear }).collect()
    }

    fn holds(&self, place: u8) -> bool {
        self.answers().any(|answer| answer.kept.is_some_and(|kept| kept.place == place))
    }

    /// About how many bytes rooms and answers take.
    fn weight(&self) -> usize {
        let bodies: usize = self.answers().filter_map(|answer| answer.kept).map(|kept| kept.length).sum();
        bodies + self.rooms().len()
    }

    /// Takes over what a look without result found out, under the same `pos`.
    pub(crate) fn settle(&mut self, sent: SentState) {
        self.sent = sent.into();
    }

    /// Brings the lines of rooms up to `pos`, and moves them into parts when there are many.
    pub(crate) fn fold(&mut self, parts: &dyn Parts) -> Vec<(u8, String)> {
        let text = self.rooms.take().or_else(|| parts.rooms()).unwrap_or_default();
        let (mut sent, mut newer, mut waiting) = (Vec::new(), Vec::new(), Vec::new());
        for line in lines::lines(&text) {
            match line.answer {
                0 => sent.push(line),
                answer if answer == self.pos => newer.push(line),
                answer if self.variants.iter().any(|variant| variant.answer.to == answer) => waiting.push(line),
                // When an answer is acknowledged, others from the same `pos` are forgotten.
                _ => {}
            }
        }
        lines::renew(&mut sent, &newer);
        let fold = Fold::of(self.parts, &sent, parts);
        let mut rooms = if fold.is_none() { lines::settled(&sent) } else { String::new() };
        for line in waiting {
            line.write(&mut rooms);
        }
        self.rooms = OnceCell::from(rooms);
        let Some(fold) = fold else { return Vec::new() };
        self.parts = fold.mask;
        fold.parts
    }
}
