//! Classic `GET /sync` (Client-Server API, "Syncing"): an all-rooms window over the same view. It has no connection; what
//! a device has been told follows from its `since` token alone.

mod events;
mod fields;
mod filter;
mod relations;
mod room;
mod sides;
mod summary;
mod token;

use std::collections::BTreeMap;

use tern_model::{MatrixError, RawJson, StateAfter, StreamPos, news};

pub use filter::{EventFilter, Filter, RoomEventFilter, RoomFilter};
use room::{ClassicRoom, Section};
use sides::Sides;
use token::Token;
pub(crate) use token::position;

use crate::extensions::{event as account_data_event, write_device_lists, write_keys};
use crate::json::Object;
use crate::slice::{SliceAsk, Slices, bytes};
use crate::view::{PresencePos, UserView};

/// Type of presence events.
const PRESENCE: &str = "m.presence";
/// Most to-device messages in one answer.
const MOST_TO_DEVICE: usize = 100;

/// A request.
#[derive(Clone, Debug, Default)]
pub struct ClassicRequest {
    since: Option<Token>,
    filter: Filter,
    full_state: bool,
    state_after: Option<StateAfter>,
    rooms_alone: bool,
}

impl ClassicRequest {
    /// Reads the parameters; `filter` is the filter itself, looked up already if an id was sent.
    ///
    /// # Errors
    /// `M_INVALID_PARAM` for a token that is none of ours, `M_BAD_JSON` for a filter of the wrong shape.
    pub fn parse(
        since: Option<&str>,
        filter: Option<&RawJson>,
        full_state: bool,
        state_after: Option<StateAfter>,
    ) -> Result<Self, MatrixError> {
        let unknown = || MatrixError::invalid_param("Unknown since token");
        let since = since.map(|text| Token::parse(text).ok_or_else(unknown)).transpose()?;
        let filter = filter.map(Filter::parse).transpose()?.unwrap_or_default();
        Ok(Self { since, filter, full_state, state_after, rooms_alone: false })
    }

    /// The same for a client that is told of nothing that is the device's own: to-device messages, device lists. Its tokens
    /// acknowledge no message either.
    #[must_use]
    pub fn of_rooms_alone(self) -> Self {
        Self { rooms_alone: true, ..self }
    }

    /// Up to here the client has its to-device messages: they can be deleted.
    pub fn to_device_ack(&self) -> Option<StreamPos> {
        self.since.filter(|_| !self.rooms_alone).map(|since| since.to_device)
    }

    /// Kinds of news that may give this request something to say (bits of [`news`]).
    pub fn interest(&self) -> u32 {
        let own = if self.rooms_alone { 0 } else { news::TO_DEVICE | news::E2EE | news::KEY_COUNTS };
        let all = news::ROOMS | news::ACCOUNT_DATA | news::LOGOUT | own;
        let ephemeral = &self.filter.room.ephemeral;
        let typing = if ephemeral.allows_kind("m.typing") { news::TYPING } else { 0 };
        let receipts = if ephemeral.allows_kind("m.receipt") { news::RECEIPTS } else { 0 };
        let presence = if self.filter.presence.allows_kind(PRESENCE) { news::PRESENCE } else { 0 };
        all | typing | receipts | presence
    }

    /// A token of the future is of another life of this account: the client starts over.
    fn since(&self, position: StreamPos) -> Option<Token> {
        self.since.filter(|since| since.stream <= position)
    }
}

/// What a classic step is going to answer.
#[derive(Debug, Default)]
pub struct ClassicPlan<'a> {
    idle: bool,
    at: StreamPos,
    rooms: Vec<ClassicRoom<'a>>,
}

impl ClassicPlan<'_> {
    /// Slices to be loaded before [`classic_answer`]; none for live updates.
    pub fn asks(&self) -> Vec<SliceAsk> {
        self.rooms.iter().filter_map(|room| room.sources()?.ask.clone()).collect()
    }

    /// Of [`Self::asks`], those that `slices` does not answer up to the newest event.
    pub fn unmet(&self, slices: &Slices) -> Vec<SliceAsk> {
        let unmet = self.rooms.iter().filter(|room| !room.is_met(slices));
        unmet.filter_map(|room| room.sources()?.ask.clone()).collect()
    }

    /// Nothing can have changed since the token: no room has been looked at, and the answer will be quiet.
    pub const fn is_idle(&self) -> bool {
        self.idle
    }
}

/// What comes out of a classic step.
#[derive(Debug)]
pub struct ClassicOutcome {
    /// The response body.
    pub body: RawJson,
    /// There is nothing in it: if there is time, wait for [`ClassicRequest::interest`] instead.
    pub quiet: bool,
}

/// Looks at what changed since the token.
pub fn classic_plan<'a>(view: &dyn UserView, request: &'a ClassicRequest) -> ClassicPlan<'a> {
    let at = view.position();
    let since = request.since(at);
    let typing = view.typing_position();
    let presence = view.presence_position();
    let settled = |since: Token| {
        let ephemeral_sent = since.typing >= typing && since.presence >= presence;
        let sent = request.rooms_alone || since.to_device == at;
        ephemeral_sent && sent && since.stream == at && !request.full_state
    };
    if since.is_some_and(settled) {
        return ClassicPlan { idle: true, at, ..ClassicPlan::default() };
    }
    let since = since.map(|since| since.stream);
    let all = since.is_none() || request.full_state;
    let rooms = if all { view.rooms() } else { view.changed_rooms(since.unwrap_or_default()) };
    let rooms = rooms.iter().filter_map(|room| ClassicRoom::make(view, request, room, since));
    let gone = since.filter(|since| view.relisted() > *since).map(|since| view.forgotten(since)).unwrap_or_default();
    let untold = gone.into_iter().filter(|forgotten| Some(forgotten.left) > since);
    let rooms = rooms.chain(untold.filter_map(|forgotten| ClassicRoom::forgotten(request, forgotten))).collect();
    ClassicPlan { idle: false, at, rooms }
}

/// Writes the answer.
///
/// # Errors
/// 503 when a slice is missing: the token would move past it.
pub fn classic_answer(
    view: &dyn UserView,
    request: &ClassicRequest,
    plan: &ClassicPlan<'_>,
    slices: &Slices,
) -> Result<ClassicOutcome, MatrixError> {
    if !plan.unmet(slices).is_empty() {
        return Err(MatrixError::unavailable());
    }
    let since = request.since(plan.at);
    let sent = since.unwrap_or_default().to_device;
    let messages = if plan.idle || request.rooms_alone { Vec::new() } else { view.to_device(sent, MOST_TO_DEVICE) };
    let last = messages.last().filter(|_| messages.len() == MOST_TO_DEVICE).map(|message| message.at);
    let left_over = last.or(request.rooms_alone.then_some(sent));
    // A hub that forgot who types counts from zero until somebody does.
    let typing = view.typing_position().max(since.unwrap_or_default().typing);
    let presence = view.presence_position().max(since.unwrap_or_default().presence);
    let next = Token { stream: plan.at, to_device: left_over.unwrap_or(plan.at), typing, presence };
    let mut text = String::with_capacity(256 + bytes(slices));
    let mut out = Object::open(&mut text);
    out.text("next_batch", &next.text());
    if view.has_keys() {
        write_keys(&mut out, &view.key_counts());
    }
    let empty = out.len();
    if !plan.idle {
        write_rooms(&mut out, view, request, plan, slices);
        write_global(&mut out, view, request);
        let presence_sent = since.filter(|_| !request.full_state).unwrap_or_default().presence;
        write_presence(&mut out, view, &request.filter.presence, presence_sent);
        out.object("to_device", |out| {
            if !messages.is_empty() {
                out.array("events", messages.iter().map(|message| message.event.text()));
            }
        });
        if let Some(since) = since.filter(|_| !request.rooms_alone) {
            out.object("device_lists", |out| write_device_lists(out, &view.device_lists(since.stream)));
        }
    }
    let counted = since.is_some_and(|since| view.key_counts_at() > since.stream);
    let quiet = out.len() == empty && !counted && since.is_some() && !request.full_state;
    out.end();
    if let Some(wanted) = &request.filter.event_fields {
        text = fields::narrow(&text, wanted);
    }
    let body = RawJson::parse(text).unwrap_or_else(|_| RawJson::empty_object());
    Ok(ClassicOutcome { body, quiet })
}

fn write_global(out: &mut Object<'_>, view: &dyn UserView, request: &ClassicRequest) {
    let since = request.since(view.position()).unwrap_or_default().stream;
    let mut data = view.account_data(since);
    data.retain(|data| request.filter.account_data.allows_kind(&data.kind));
    out.object("account_data", |out| {
        if !data.is_empty() {
            out.array("events", data.iter().map(account_data_event));
        }
    });
}

fn write_presence(out: &mut Object<'_>, view: &dyn UserView, filter: &EventFilter, since: PresencePos) {
    if !filter.allows_kind(PRESENCE) || view.presence_position() <= since {
        return;
    }
    let mut events = view.presence(since);
    events.retain(|(user_id, _)| filter.allows_sender(user_id.as_str()));
    out.object("presence", |out| {
        if !events.is_empty() {
            out.array("events", events.iter().map(|(user_id, content)| presence_event(user_id.as_str(), content)));
        }
    });
}

fn presence_event(sender: &str, content: &str) -> String {
    let mut text = String::with_capacity(content.len() + sender.len() + 48);
    let mut out = Object::open(&mut text);
    out.text("type", PRESENCE);
    out.text("sender", sender);
    out.raw("content", content);
    out.end();
    text
}

fn write_rooms(
    out: &mut Object<'_>,
    view: &dyn UserView,
    request: &ClassicRequest,
    plan: &ClassicPlan<'_>,
    slices: &Slices,
) {
    let since = request.since(plan.at);
    let mut sides = Sides::read(view, since);
    if since.is_some() {
        for room in plan.rooms.iter().filter(|room| room.is_new()) {
            sides.complete(view, room.room_id());
        }
    }
    let planned: BTreeMap<_, _> = plan.rooms.iter().map(|room| (room.room_id(), room)).collect();
    let beside: Vec<ClassicRoom<'_>> = sides
        .rooms()
        .into_iter()
        .filter(|room_id| !planned.contains_key(room_id))
        .filter_map(|room_id| ClassicRoom::beside(request, &view.room(room_id)?))
        .collect();
    out.object("rooms", |out| {
        for section in [Section::Join, Section::Invite, Section::Knock, Section::Leave] {
            out.object(section.name(), |out| {
                for room in plan.rooms.iter().chain(&beside).filter(|room| room.section() == section) {
                    let slice = (slices.get(room.room_id()), plan.rooms.len());
                    out.object(room.room_id().as_str(), |out| {
                        room.write(out, view, request, slice);
                        sides.write(out, room);
                    });
                }
            });
        }
    });
}
