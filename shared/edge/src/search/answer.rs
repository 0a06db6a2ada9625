//! What a search answers.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use ruma::{OwnedEventId, OwnedRoomId};
use serde::{Deserialize, Serialize};
use tern_model::{Caller, MatrixError, RawJson};
use tern_ports::{
    Transport, ask_room,
    wire::{
        relations::{EventContext, ReadContext},
        room::ReadState,
        search::MatchedEvent,
    },
};

use super::criteria::{Around, Group};
use crate::ignored::Ignored;

/// Events around a result, unless the client says, and at most.
const AROUND: (u32, u32) = (5, 50);

/// Rooms asked at a time.
const AT_A_TIME: usize = 6;

/// `room_events` of the answer.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Found {
    pub(super) count: usize,
    pub(super) results: Vec<FoundEvent>,
    pub(super) highlights: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) state: Option<BTreeMap<OwnedRoomId, Vec<RawJson>>>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) groups: BTreeMap<Group, BTreeMap<String, FoundGroup>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_batch: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct FoundEvent {
    rank: f64,
    result: RawJson,
    #[serde(skip_serializing_if = "Option::is_none")]
    context: Option<Context>,
}

#[derive(Clone, Debug, Serialize)]
struct Context {
    start: String,
    end: String,
    events_before: Vec<RawJson>,
    events_after: Vec<RawJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    profile_info: Option<BTreeMap<String, Profile>>,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Profile {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    displayname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    avatar_url: Option<String>,
}

#[derive(Clone, Debug, Serialize)]
pub(super) struct FoundGroup {
    pub(super) order: usize,
    pub(super) results: Vec<OwnedEventId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_batch: Option<String>,
}

/// The results as their rooms show them to the caller. What a room does not show any more is left out.
pub(super) async fn show<E: Transport>(
    edge: &E,
    caller: &Caller,
    ignored: &Ignored,
    page: &[MatchedEvent],
    around: Option<Around>,
) -> Result<Vec<FoundEvent>, MatrixError> {
    let limit = |wanted: Option<u32>| wanted.unwrap_or(AROUND.0).min(AROUND.1);
    let limits = around.map_or((0, 0), |around| (limit(around.before_limit), limit(around.after_limit)));
    let shown = page.iter().map(|event| async move {
        let ask = ReadContext {
            caller: caller.clone(),
            event_id: event.event_id.clone(),
            limits,
            filter: None,
            only_members: true,
            ignored: ignored.users().clone(),
        };
        match ask_room(edge, &event.room_id, ask).await {
            Ok(context) => Ok(Some(found_event(event, context, around, ignored))),
            Err(error) if error.status < 500 => Ok(None),
            Err(error) => Err(error),
        }
    });
    let shown: Vec<_> = stream::iter(shown).buffered(AT_A_TIME).collect().await;
    shown.into_iter().filter_map(Result::transpose).collect()
}

fn found_event(event: &MatchedEvent, context: EventContext, around: Option<Around>, ignored: &Ignored) -> FoundEvent {
    let context_of = |around: Around| Context {
        start: context.start,
        end: context.end,
        events_before: ignored.sift(context.before),
        events_after: ignored.sift(context.after),
        profile_info: around.include_profile.then(|| context.state.iter().filter_map(profile).collect()),
    };
    FoundEvent { rank: f64::from(event.score) / 1_000.0, result: context.event, context: around.map(context_of) }
}

/// Who a member event is about, and how they appear.
fn profile(member: &RawJson) -> Option<(String, Profile)> {
    #[derive(Deserialize)]
    struct Member {
        state_key: String,
        content: RawJson,
    }
    let member: Member = member.read().ok()?;
    Some((member.state_key, member.content.read().unwrap_or_default()))
}

pub(super) async fn states<E: Transport>(
    edge: &E,
    caller: &Caller,
    page: &[MatchedEvent],
) -> Result<BTreeMap<OwnedRoomId, Vec<RawJson>>, MatrixError> {
    let rooms: BTreeSet<_> = page.iter().map(|event| &event.room_id).collect();
    let asked = rooms.into_iter().map(|room_id| async move {
        let state = ask_room(edge, room_id, ReadState { caller: caller.user_id.clone() }).await?;
        Ok((room_id.clone(), state))
    });
    let states: Vec<_> = stream::iter(asked).buffered(AT_A_TIME).collect().await;
    states.into_iter().collect()
}
