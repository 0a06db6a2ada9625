//! The second half of a step: the answer, and what the client knows once it has it.

use std::collections::{BTreeMap, BTreeSet};

use ruma::OwnedRoomId;
use tern_model::{RawJson, RoomSeq};

use crate::conn::Connection;
use crate::extensions::{self, Known, Spoken};
use crate::json::Object;
use crate::memory::Memory;
use crate::plan::Plan;
use crate::request::Request;
use crate::room::{Context, Shown};
use crate::sent::{ListSentState, Parts};
use crate::sent_answers::{Body, SentState};
use crate::slice::{Slices, bytes};
use crate::view::{RoomView, UserView};

/// A connection is stored anew when it has looked past this many changes without finding anything to tell.
const FAR_BEHIND: u64 = 64;

/// An answer that has become longer than this, in bytes, has no further rooms: they are owed to the next one.
const FULL_BYTES: usize = 4 << 20;

/// What comes out of a step.
#[derive(Debug)]
pub struct Outcome {
    /// The response body.
    pub body: RawJson,
    /// There is nothing in it: if there is time, wait for [`Request::interest`] instead.
    pub quiet: bool,
    /// Some rooms could not be read, or did not fit, and are left out: the next step tries again, so do not wait long for it.
    pub owed: bool,
    /// The connection to store before the body is sent or the poll waits; `None` leaves it as it is.
    pub save: Option<Save>,
}

/// What to store.
#[derive(Debug)]
pub struct Save {
    /// The connection's row.
    pub conn: Connection,
    /// Parts to replace, by number.
    pub parts: Vec<(u8, String)>,
    /// What is to become of the kept bodies, by place.
    pub bodies: Vec<Body>,
}

/// Writes the answer to `request`, as planned.
///
/// The view may have moved on since the plan was made: then the step is not idle the next time.
pub fn answer(
    view: &dyn UserView,
    parts: &dyn Parts,
    mut conn: Connection,
    request: &Request,
    plan: Plan,
    slices: &Slices,
) -> Outcome {
    if plan.idle {
        return Outcome {
            body: quiet_body(&conn.pos(None), request, &plan.lists),
            quiet: true,
            owed: false,
            save: None,
        };
    }
    let folded = conn.fold(parts);
    let mut sent =
        SentState { at: plan.at, request: request.fingerprint, rules: request.rules, ..SentState::default() };
    let mut text = String::with_capacity(256 + bytes(slices));
    let mut out = Object::open(&mut text);
    if let Some(txn_id) = &request.txn_id {
        out.text("txn_id", txn_id);
    }
    let empty = out.len();
    let (shown, owed) = write_rooms(&mut out, view, &mut conn, request, &plan, slices);
    sent.owed = owed;
    let extensions = {
        let memory = FoldedParts { fresh: &folded, stored: parts };
        let memory = Memory::new(&conn, &memory);
        let known = Known { memory: &memory, shown: &shown, request, view, at: plan.at, first: conn.is_new() };
        let (extensions, spoken) = extensions::write(&mut out, &known, &conn.sent().extensions);
        sent.extensions = extensions;
        spoken
    };
    let spoken = out.len() > empty || conn.is_new();
    write_lists(&mut out, conn.sent(), request, &plan.lists, spoken);
    let typing_alone = extensions == Spoken::Typing && out.len() == empty + 1 && !conn.is_new();
    sent.lists = plan.lists;
    if out.len() == empty && !conn.is_new() {
        return quiet_outcome(conn, sent, request, folded);
    }
    let owed = !sent.owed.is_empty();
    if typing_alone && folded.is_empty() && is_settled(&conn, &sent) {
        // Remembered by the client alone, in its `pos`: nothing that is over in a moment is worth a row.
        out.text("pos", &conn.pos(Some(view.typing_position())));
        out.end();
        return Outcome { body: finished(text), quiet: false, owed, save: None };
    }
    out.text("pos", &conn.next_pos(plan.at));
    out.end();
    let body = finished(text);
    let bodies = conn.variant(sent, shown.iter().map(|(room_id, shown)| (room_id, &shown.sent)), &body);
    Outcome { body, quiet: false, owed, save: Some(Save { conn, parts: folded, bodies }) }
}

fn finished(text: String) -> RawJson {
    RawJson::parse(text).unwrap_or_else(|_| RawJson::empty_object())
}

/// What the connection knows is near enough to what there is: it need not be stored anew.
fn is_settled(conn: &Connection, sent: &SentState) -> bool {
    let before = conn.sent();
    before.request == sent.request && before.owed == sent.owed && sent.at.0 - before.at.0 < FAR_BEHIND
}

/// Nothing to tell. A changed request, rooms still owed, or a position far ahead are remembered, so that the next look is
/// as short as it can be.
fn quiet_outcome(mut conn: Connection, sent: SentState, request: &Request, parts: Vec<(u8, String)>) -> Outcome {
    let body = quiet_body(&conn.pos(None), request, &sent.lists);
    let owed = !sent.owed.is_empty();
    let save = (!is_settled(&conn, &sent) || !parts.is_empty()).then(|| {
        conn.settle(sent);
        let bodies = conn.bodies();
        Save { conn, parts, bodies }
    });
    Outcome { body, quiet: true, owed, save }
}

/// The shortest answer: the same position, and the counts, by which clients pace the growth of their lists.
fn quiet_body(pos: &str, request: &Request, lists: &BTreeMap<String, ListSentState>) -> RawJson {
    let mut text = String::with_capacity(64);
    let mut out = Object::open(&mut text);
    out.text("pos", pos);
    if let Some(txn_id) = &request.txn_id {
        out.text("txn_id", txn_id);
    }
    write_counts(&mut out, lists.iter().filter(|(name, _)| request.lists.contains_key(*name)));
    out.end();
    finished(text)
}

fn write_counts<'a>(out: &mut Object<'_>, lists: impl Iterator<Item = (&'a String, &'a ListSentState)>) {
    out.object("lists", |out| {
        for (name, list) in lists {
            out.object(name, |out| out.number("count", list.count));
        }
    });
}

/// Counts, where they changed. An answer with other contents to changed lists has them all: clients grow their lists by
/// them. A grown range alone is no news, though, and does not end a long poll.
fn write_lists(
    out: &mut Object<'_>,
    sent: &SentState,
    request: &Request,
    lists: &BTreeMap<String, ListSentState>,
    all: bool,
) {
    let all = all && sent.rules != request.rules;
    let news = |(name, list): &(&String, &ListSentState)| {
        all || sent.lists.get(*name).is_none_or(|known| known.count != list.count)
    };
    write_counts(out, lists.iter().filter(news));
}

fn write_rooms(
    out: &mut Object<'_>,
    view: &dyn UserView,
    conn: &mut Connection,
    request: &Request,
    plan: &Plan,
    slices: &Slices,
) -> (BTreeMap<OwnedRoomId, Shown>, BTreeSet<OwnedRoomId>) {
    let (mut all, mut owed) = (BTreeMap::new(), BTreeSet::new());
    out.object("rooms", |out| {
        for planned in &plan.rooms {
            let room = &planned.room;
            if !planned.is_met(slices) || out.bytes() > FULL_BYTES {
                owed.insert(room.room_id.clone());
                continue;
            }
            let need = conn.intern(planned.need());
            let context = Context { at: plan.at, live_from: live_from(view, conn, room), need };
            let shown = planned.write(view, request.shape, slices.get(&room.room_id), context, out);
            all.extend(shown.map(|shown| (room.room_id.clone(), shown)));
        }
    });
    (all, owed)
}

/// The newest position of the room when the connection last looked; nothing is live in its first answer.
fn live_from(view: &dyn UserView, conn: &Connection, room: &RoomView) -> Option<RoomSeq> {
    if conn.is_new() {
        return None;
    }
    let at = conn.sent().at;
    let known = view.seq_at(&room.room_id, at);
    known.or_else(|| (room.activity > at).then(|| room.newest.previous()))
}

/// Parts as they will be once the outcome is stored.
struct FoldedParts<'a> {
    fresh: &'a [(u8, String)],
    stored: &'a dyn Parts,
}

impl Parts for FoldedParts<'_> {
    fn rooms(&self) -> Option<String> {
        self.stored.rooms()
    }

    fn part(&self, number: u8) -> Option<String> {
        let fresh = self.fresh.iter().find(|(part, _)| *part == number).map(|(_, text)| text.clone());
        fresh.or_else(|| self.stored.part(number))
    }

    fn body(&self, place: u8) -> Option<RawJson> {
        self.stored.body(place)
    }
}
