//! `POST /search`, run in the proxy: the storage worker finds, the rules say what the searcher may see, and the rooms' hubs
//! show it. Only unencrypted rooms are searched.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet},
};

use futures::try_join;
use ruma::OwnedRoomId;
use tern_model::{Caller, MatrixError, Millis};
use tern_ports::{
    Transport, ask_storage, ask_user,
    wire::{
        search::{MatchedEvent, Matches, SearchEvents},
        sync::VisibilityFacts,
        user::{ListMemberships, SessionRef},
    },
};
use tern_room::visibility::{Facts, may_see};

use tern_room::filter::RoomEventFilter;

use crate::ignored::Ignored;

mod answer;
mod criteria;
mod order;
mod token;

pub use answer::Found;
use answer::FoundGroup;
use criteria::Group;
pub use criteria::{Around, Criteria, Groupings};
use order::Order;
use token::Token;

/// Results in one answer, unless the client says, and at most.
const PAGE: (u32, u32) = (10, 50);

/// Matches looked at for one answer, the newest: order by rank is among these.
const MOST_MATCHES: u32 = 1_000;

/// Questions to the storage worker for one answer, when the searcher may see little of what is found.
const ROUNDS: u32 = 3;

/// A search as it is carried out.
struct Search {
    ask: SearchEvents,
    order: Order,
    limit: usize,
    after: Option<Token>,
    ignored: Ignored,
}

/// One page of what the caller may see of events with the words of `criteria`.
///
/// # Errors
/// 400 for criteria that are none, 503 when the storage worker cannot be reached.
pub async fn room_events<E: Transport>(
    edge: &E,
    caller: &Caller,
    session: SessionRef,
    criteria: Criteria,
    next_batch: Option<&str>,
) -> Result<Found, MatrixError> {
    let order = criteria.order()?;
    let after = next_batch.map(|token| Token::read(token, order)).transpose()?;
    let words = criteria.words()?;
    let filter = RoomEventFilter::read(criteria.filter.as_ref())?;
    let kinds = criteria.kinds(&filter)?;
    let (memberships, ignored) = try_join!(
        ask_user(edge, &caller.user_id, ListMemberships { session: Some(session.clone()) }),
        Ignored::of(edge, &caller.user_id, session)
    )?;
    let rooms = rooms_of(memberships, &filter, after.as_ref());
    if words.is_empty() || rooms.is_empty() || kinds.is_empty() {
        return Ok(Found::default());
    }
    let highlights = words.iter().flat_map(|word| word.split_whitespace()).map(str::to_lowercase).collect();
    let ask = SearchEvents {
        rooms,
        user_id: caller.user_id.clone(),
        words,
        kinds,
        senders: senders_of(&filter, after.as_ref()),
        not_senders: filter.not_senders.clone(),
        with_url: filter.contains_url,
        rel_types: filter.rel_types().map(<[String]>::to_vec),
        not_rel_types: filter.not_rel_types().to_vec(),
        until: after.as_ref().filter(|_| order == Order::Recent).map(|token| token.place.1),
        limit: MOST_MATCHES,
    };
    let limit = filter.limit.unwrap_or(PAGE.0).clamp(1, PAGE.1) as usize;
    let search = Search { ask, order, limit, after, ignored };
    let (page, rest) = search.page(edge).await?;
    let (before, group) = search.after.clone().map_or((0, None), |token| (token.count, token.group));
    Ok(Found {
        count: before + page.len() + rest.len(),
        highlights,
        groups: search.groups(&criteria, &page, &rest)?,
        next_batch: search.token(&page, &rest, group)?,
        state: if criteria.include_state { Some(answer::states(edge, caller, &page).await?) } else { None },
        results: answer::show(edge, caller, &search.ignored, &page, criteria.event_context).await?,
    })
}

impl Search {
    /// A page of visible matches in order, and those that come after it.
    async fn page<E: Transport>(&self, edge: &E) -> Result<(Vec<MatchedEvent>, Vec<MatchedEvent>), MatrixError> {
        let mut ask = self.ask.clone();
        let mut seen = BTreeSet::new();
        let mut found: Vec<MatchedEvent> = Vec::new();
        for _ in 0..ROUNDS {
            let Matches { events, facts } = ask_storage(edge, ask.clone()).await?;
            let full = events.len() >= ask.limit as usize;
            let oldest = events.last().map(|event| event.ts);
            let facts = facts.into_iter().collect();
            let wanted = |event: &MatchedEvent| self.wants(event, &facts) && seen.insert(event.event_id.clone());
            found.extend(events.into_iter().filter(wanted));
            let enough = found.len() > self.limit || self.order == Order::Rank;
            match oldest.filter(|_| full && !enough) {
                // More of one moment than can be looked at: what is left of it is passed over.
                Some(oldest) if ask.until == Some(oldest) => ask.until = Some(Millis(oldest.0.saturating_sub(1))),
                Some(oldest) => ask.until = Some(oldest),
                None => break,
            }
        }
        found.sort_by_cached_key(|event| Reverse(self.order.place(event)));
        let rest = found.split_off(self.limit.min(found.len()));
        Ok((found, rest))
    }

    /// The event comes after what was shown, and the caller may and wants to see it.
    fn wants(&self, event: &MatchedEvent, facts: &BTreeMap<OwnedRoomId, VisibilityFacts>) -> bool {
        let new = self.after.as_ref().is_none_or(|token| self.order.place(event) < token.place);
        let visible = facts.get(&event.room_id).is_some_and(|VisibilityFacts { history, membership }| {
            let facts = Facts { user_id: &self.ask.user_id, history, membership };
            may_see(&facts, event.seq, &event.kind, event.state_key.as_deref())
        });
        new && visible && !self.ignored.hides_what(&event.sender, event.state_key.as_deref())
    }

    fn token(
        &self,
        page: &[MatchedEvent],
        rest: &[MatchedEvent],
        group: Option<(Group, String)>,
    ) -> Result<Option<String>, MatrixError> {
        let Some(last) = page.last().filter(|_| !rest.is_empty()) else { return Ok(None) };
        // What was counted up to here is of the whole search; a group is counted on its own.
        let counted = self.after.as_ref().filter(|token| token.group == group).map_or(0, |token| token.count);
        let in_group = |event: &&MatchedEvent| group.as_ref().is_none_or(|(by, value)| by.of(event) == value);
        let count = counted + page.iter().filter(in_group).count();
        Token { order: self.order, place: self.order.place(last), count, group }.write().map(Some)
    }

    fn groups(
        &self,
        criteria: &Criteria,
        page: &[MatchedEvent],
        rest: &[MatchedEvent],
    ) -> Result<BTreeMap<Group, BTreeMap<String, FoundGroup>>, MatrixError> {
        let mut groups = BTreeMap::new();
        for by in criteria.groups() {
            let mut named: BTreeMap<String, FoundGroup> = BTreeMap::new();
            for (order, event) in page.iter().enumerate() {
                let group = named.entry(by.of(event).to_owned());
                let group = group.or_insert_with(|| FoundGroup { order, results: Vec::new(), next_batch: None });
                group.results.push(event.event_id.clone());
            }
            for (value, group) in &mut named {
                if rest.iter().any(|event| by.of(event) == value) {
                    group.next_batch = self.token(page, rest, Some((by, value.clone())))?;
                }
            }
            groups.insert(by, named);
        }
        Ok(groups)
    }
}

/// The rooms to search: those the caller is in or was in.
fn rooms_of(
    memberships: BTreeMap<OwnedRoomId, String>,
    filter: &RoomEventFilter,
    after: Option<&Token>,
) -> Vec<OwnedRoomId> {
    let group = after.and_then(|token| token.group.as_ref());
    let readable = |(room_id, membership): (OwnedRoomId, String)| {
        let named = group.is_none_or(|(by, value)| *by != Group::RoomId || *value == room_id);
        let was_in = matches!(membership.as_str(), "join" | "leave" | "ban");
        (named && was_in && !filter.excludes_room(&room_id)).then_some(room_id)
    };
    memberships.into_iter().filter_map(readable).collect()
}

/// The senders to search: those of the filter, of which the next page of a sender's group wants one.
fn senders_of(filter: &RoomEventFilter, after: Option<&Token>) -> Option<Vec<String>> {
    let Some((Group::Sender, sender)) = after.and_then(|token| token.group.as_ref()) else {
        return filter.senders.clone();
    };
    let passes = filter.senders.as_ref().is_none_or(|senders| senders.contains(sender));
    Some(passes.then(|| sender.clone()).into_iter().collect())
}
