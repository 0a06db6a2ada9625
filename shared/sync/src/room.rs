//! One room of a sliding sync answer (MSC4186, "Room results").

use std::collections::BTreeSet;
use std::rc::Rc;

use tern_model::{RawJson, RoomSeq, StreamPos};

use crate::conn::Connection;
use crate::event::{ended_join, member_of};
use crate::gather::Sources;
use crate::hash::fingerprint;
use crate::json::Object;
use crate::list::Matched;
use crate::memory::Memory;
use crate::request::Shape;
use crate::room_json::{prev_batch, remember, write_events, write_summary, write_unread};
use crate::sent::{Facts, RoomSentState};
use crate::slice::Slice;
use crate::state::StateNeed;
use crate::view::{Forgotten, Membership, RoomView, UserView};
use crate::want::{Want, wanted};

/// A room that may have something to say.
#[derive(Debug)]
pub(crate) struct RoomPlan {
    pub(crate) room: Rc<RoomView>,
    lists: Vec<String>,
    need: StateNeed,
    sent: Option<RoomSentState>,
    face: Face,
}

/// In which form it is shown.
#[derive(Debug)]
enum Face {
    /// Timeline and state, of a room the user is or was in.
    Full(Want, Box<Sources>),
    /// Stripped state of an invite or knock.
    Stripped,
    /// An invite or knock that came to nothing, a ban after leaving: the user's own member event.
    Refused(Option<RawJson>),
}

/// What the rest of the answer tells a room's part.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Context {
    /// Position of the answer.
    pub(crate) at: StreamPos,
    /// The newest position of the room that the connection's last look could see.
    pub(crate) live_from: Option<RoomSeq>,
    /// Index of its need.
    pub(crate) need: usize,
}

/// A room's part of the answer.
pub(crate) struct Shown {
    pub(crate) sent: RoomSentState,
    /// It was not known on this connection.
    pub(crate) initial: bool,
    /// Ids of events in its timeline.
    pub(crate) events: BTreeSet<String>,
}

impl RoomPlan {
    /// `None` when nothing changed for the client.
    pub(crate) fn make(
        view: &dyn UserView,
        conn: &Connection,
        matched: &Matched,
        sent: Option<RoomSentState>,
    ) -> Option<Self> {
        let Matched { room, config, lists } = matched;
        // What an invite told is not built on: a join after it shows the room as new.
        let known = sent.as_ref().filter(|sent| sent.seq.0 > 0);
        let face = match room.membership {
            Membership::Invite | Membership::Knock => stripped(room, sent.as_ref())?,
            Membership::Leave | Membership::Ban if !shows_end(view, room, sent.as_ref()) => {
                refused(view, room, sent.as_ref())?
            }
            _ => {
                let want = wanted(conn, room, matched, known)?;
                let sources =
                    Sources::find(view, room, &want, &|user| known.is_some_and(|sent| sent.knows_member(user)));
                Face::Full(want, Box::new(sources))
            }
        };
        let sent = if matches!(face, Face::Full(..)) { known.cloned() } else { sent };
        Some(Self { room: Rc::clone(room), lists: lists.clone(), need: config.state.clone(), sent, face })
    }

    /// A room that the connection knows, was left, and is forgotten: that it is over is told before nothing more is.
    pub(crate) fn forgotten(memory: &Memory<'_>, Forgotten { room, event, .. }: Forgotten) -> Option<Self> {
        let sent = memory.sent(&room.room_id)?;
        let over = sent.was(Membership::Leave) || sent.was(Membership::Ban);
        let face = Face::Refused(Some(event.client.clone()));
        (!over).then(|| Self { room, lists: Vec::new(), need: StateNeed::default(), sent: Some(sent), face })
    }

    /// The slice it needs.
    pub(crate) fn sources(&self) -> Option<&Sources> {
        match &self.face {
            Face::Full(_, sources) => Some(&**sources),
            _ => None,
        }
    }

    /// Writes the room into `rooms`, unless it turns out to have nothing to say.
    pub(crate) fn write(
        &self,
        view: &dyn UserView,
        shape: Shape,
        slice: Option<&Slice>,
        context: Context,
        rooms: &mut Object<'_>,
    ) -> Option<Shown> {
        let mut sent = self.sent.clone().unwrap_or_default();
        let initial = self.sent.is_none() || matches!(self.face, Face::Stripped);
        let mut events = BTreeSet::new();
        let written = rooms.object(self.room.room_id.as_str(), |out| {
            if initial {
                out.flag("initial", true);
            }
            match &self.face {
                Face::Full(want, sources) => {
                    let before = if initial { Facts::default() } else { sent.facts.clone() };
                    sent.facts = self.write_facts(view, out, &before);
                    let knows = |user: &str| self.sent.as_ref().is_some_and(|sent| sent.knows_member(user));
                    let gathered = sources.gather(view.user_id().as_str(), want, slice, &knows);
                    write_events(view, shape, out, &gathered, want, context.live_from, &self.room);
                    events.extend(gathered.timeline.iter().map(|event| event.event_id.to_string()));
                    remember(&mut sent, &self.room, want, &gathered);
                }
                Face::Stripped => {
                    out.array(stripped_key(shape), self.room.stripped.iter().map(RawJson::text));
                    sent = RoomSentState {
                        facts: Facts { stripped: stripped_print(&self.room), ..Facts::default() },
                        ..RoomSentState::default()
                    };
                }
                Face::Refused(event) => {
                    let key = if shape == Shape::Stable { "stripped_state" } else { "required_state" };
                    out.array(key, event.iter().map(RawJson::text));
                    if sent.seq.0 > 0 {
                        // What lies between is not shown, and not said to be nothing.
                        out.flag("limited", true);
                        out.text("prev_batch", &prev_batch(&[], self.room.newest));
                        sent.seq = self.room.newest;
                    }
                }
            }
            self.write_common(out, shape, initial, &mut sent);
            out.len() > 0
        });
        self.room.membership.as_str().clone_into(&mut sent.membership);
        sent.at = context.at;
        sent.need = context.need;
        written.then_some(Shown { sent, initial, events })
    }

    /// What the room asks for, to be remembered.
    pub(crate) const fn need(&self) -> &StateNeed {
        &self.need
    }

    /// Fields that are sent when they changed.
    fn write_facts(&self, view: &dyn UserView, out: &mut Object<'_>, before: &Facts) -> Facts {
        let mut facts = before.clone();
        if let Some(summary) = &self.room.summary {
            write_summary(out, summary, view.user_id(), &mut facts);
        }
        facts.dm = self.room.dm;
        if facts.dm != before.dm {
            out.flag("is_dm", facts.dm);
        }
        facts
    }

    fn write_common(&self, out: &mut Object<'_>, shape: Shape, initial: bool, sent: &mut RoomSentState) {
        let room = &self.room;
        if room.bump_stamp != sent.facts.bump {
            sent.facts.bump = room.bump_stamp;
            out.number("bump_stamp", room.bump_stamp);
        }
        match shape {
            Shape::Unstable => write_unread(out, room, &mut sent.facts),
            Shape::Stable => {
                let known = self.sent.as_ref().filter(|_| !initial);
                if known.is_none_or(|known| !known.was(room.membership)) {
                    out.text("membership", room.membership.as_str());
                }
                if out.len() > 0 && !self.lists.is_empty() {
                    out.texts("lists", &self.lists);
                }
            }
        }
    }
}

fn stripped(room: &RoomView, sent: Option<&RoomSentState>) -> Option<Face> {
    let same = |sent: &RoomSentState| sent.was(room.membership) && sent.facts.stripped == stripped_print(room);
    (!sent.is_some_and(same)).then_some(Face::Stripped)
}

fn stripped_print(room: &RoomView) -> u64 {
    let texts: Vec<&str> = room.stripped.iter().map(RawJson::text).collect();
    fingerprint(&texts)
}

const fn stripped_key(shape: Shape) -> &'static str {
    match shape {
        Shape::Unstable => "invite_state",
        Shape::Stable => "stripped_state",
    }
}

/// Whether somebody who is gone sees the room as it was when they went, or their own member event and nothing else.
fn shows_end(view: &dyn UserView, room: &RoomView, sent: Option<&RoomSentState>) -> bool {
    match sent {
        Some(sent) if sent.seq.0 > 0 && sent.seq >= room.newest => true,
        _ => room.was_joined() && ended_join(view, room),
    }
}

fn refused(view: &dyn UserView, room: &RoomView, sent: Option<&RoomSentState>) -> Option<Face> {
    let news = match sent {
        Some(sent) => !sent.was(room.membership) || (sent.seq.0 > 0 && sent.seq < room.newest),
        None => room.removed && room.was_joined(),
    };
    if !news {
        return None;
    }
    let own = view.user_id();
    let inbox = view.inbox(&room.room_id, RoomSeq(0));
    let event =
        inbox.iter().rev().find(|event| member_of(event) == Some(own.as_str())).map(|event| event.client.clone());
    Some(Face::Refused(event.or_else(|| view.member(&room.room_id, own))))
}
