//! The timeline as one: the tail here, joined with what the storage worker has of the time before.

use std::collections::BTreeSet;

use ruma::UserId;
use tern_model::{Caller, MatrixError, RawJson, RoomSeq, StoredEvent};
use tern_ports::{
    ObjectHost, SqlError, ask_storage,
    wire::{
        storage::{PageEvents, StateAt},
        sync::VisibilityFacts,
    },
};
use tern_room::{Form, client_event};

use crate::{
    RoomActor,
    reads::access::joined_facts,
    timeline::{head::Head, store::damaged},
};

/// `*` in a pattern of types and state keys.
const ANY: &str = "*";

/// Bytes of events after which a page ends, here and in the storage worker.
pub(crate) const PAGE_BYTES: u64 = 2 << 20;

/// A run of the timeline without gaps.
pub(crate) struct Page {
    /// In the order asked for.
    pub(crate) events: Vec<StoredEvent>,
    /// For deciding which of them the reader may see.
    pub(crate) facts: VisibilityFacts,
}

/// Which part of the timeline.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Range {
    /// Positions greater than this.
    pub(crate) after: RoomSeq,
    /// Positions up to and including this.
    pub(crate) until: RoomSeq,
    pub(crate) backwards: bool,
}

/// A pagination token: the place between the event at `seq` and the next one.
pub(crate) fn token(seq: RoomSeq) -> String {
    format!("t{}", seq.0)
}

/// Reads a pagination token. Tokens of a sync name a place in a user's stream: only that user's hub knows where in this room
/// it is, and is asked before (`crate::places`).
pub(crate) fn read_token(token: &str) -> Result<RoomSeq, MatrixError> {
    let digits = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let number = token.strip_prefix('t').filter(digits);
    let seq = number.and_then(|number| number.parse::<u64>().ok()).filter(|seq| *seq < 1 << 53);
    seq.map(RoomSeq).ok_or_else(|| MatrixError::invalid_param("Not a pagination token of this room"))
}

/// What a place of the state had.
pub(crate) enum Held {
    Event(Box<StoredEvent>),
    Nothing,
    /// What the storage worker knows.
    Unknown,
}

impl<H: ObjectHost> RoomActor<H> {
    /// At most `limit` events of a range, and about [`PAGE_BYTES`] of them. Fewer than there are also when the storage worker
    /// cannot be reached and something is here; the run has no gaps in any case.
    pub(crate) async fn page(
        &self,
        head: &Head,
        reader: &UserId,
        range: Range,
        limit: u32,
    ) -> Result<Page, MatrixError> {
        let local = self.local_facts(head, reader)?;
        let here = Range { after: range.after.max(head.tail), ..range };
        let there = Range { until: range.until.min(head.tail), ..range };
        if range.backwards {
            let mut events = self.events_here(here, limit)?;
            let rest = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
            // What is here was too much already: nothing older joins on to it.
            let whole = events.last().is_none_or(|last| last.seq == here.after.next());
            let rest = if whole { rest } else { 0 };
            let stored = match self.events_there(reader, there, rest).await {
                Err(error) if events.is_empty() => return Err(error),
                Err(_) => None,
                Ok(stored) => stored,
            };
            let (older, facts) = stored.unzip();
            events.extend(older.into_iter().flatten());
            return Ok(Page { events, facts: joined_facts(head, local, facts) });
        }
        let (stored, facts) = self.events_there(reader, there, limit).await?.unzip();
        let mut events = stored.unwrap_or_default();
        let reached = facts.is_none() || events.last().is_some_and(|last| last.seq == there.until);
        if reached {
            let rest = limit.saturating_sub(u32::try_from(events.len()).unwrap_or(u32::MAX));
            events.extend(self.events_here(here, rest)?);
        }
        Ok(Page { events, facts: joined_facts(head, local, facts) })
    }

    fn events_here(&self, range: Range, limit: u32) -> Result<Vec<StoredEvent>, SqlError> {
        if range.after >= range.until || limit == 0 {
            return Ok(Vec::new());
        }
        self.store().events_within((range.after, range.until), range.backwards, limit, PAGE_BYTES)
    }

    /// Nothing when the range is empty.
    async fn events_there(
        &self,
        reader: &UserId,
        range: Range,
        limit: u32,
    ) -> Result<Option<(Vec<StoredEvent>, VisibilityFacts)>, MatrixError> {
        if range.after >= range.until || limit == 0 {
            return Ok(None);
        }
        let ask = PageEvents {
            room_id: self.room_id.clone(),
            user_id: reader.to_owned(),
            after: range.after,
            until: range.until,
            backwards: range.backwards,
            limit,
        };
        let page = ask_storage(&*self.host, ask).await?;
        Ok(Some((page.events, page.facts)))
    }

    /// The state after the event at `at`, of one type and state key or of all (`*`), in order of position.
    pub(crate) async fn state_at(
        &self,
        head: &Head,
        at: RoomSeq,
        kind: &str,
        state_key: &str,
    ) -> Result<Vec<StoredEvent>, MatrixError> {
        if at < head.tail {
            return self.stored_state(at, kind, state_key).await;
        }
        let mut state = self.store().state_like(kind, state_key, RoomSeq::default())?;
        state.retain(|event| event.seq <= at);
        let mut unknown = BTreeSet::new();
        for (changed_kind, changed_key) in self.places_changed(head, at)? {
            if !(matches(kind, &changed_kind) && matches(state_key, &changed_key)) {
                continue;
            }
            match self.held_at(head, at, (&changed_kind, &changed_key))? {
                Held::Event(event) => state.push(*event),
                Held::Nothing => {}
                Held::Unknown => drop(unknown.insert((changed_kind, changed_key))),
            }
        }
        if head.tail.0 > 0 && !unknown.is_empty() {
            // Not set between the tail's start and `at`, or by a resolution to an event that is gone from here.
            let before = self.stored_state(head.forwarded.min(at), kind, state_key).await?;
            let wanted = |event: &StoredEvent| {
                let state_key = event.state_key.clone().unwrap_or_default();
                unknown.contains(&(event.kind.clone(), state_key))
            };
            state.extend(before.into_iter().filter(wanted));
        }
        state.sort_by_key(|event| event.seq);
        Ok(state)
    }

    /// Where the present is another than it was at `at`.
    fn places_changed(&self, head: &Head, at: RoomSeq) -> Result<BTreeSet<(String, String)>, SqlError> {
        let mut places: BTreeSet<_> = self.store().state_keys_since(at)?.into_iter().collect();
        if head.resolved > at {
            places.extend(self.store().places_resolved(at)?);
        }
        Ok(places)
    }

    /// What a place had at `at`, as far as the tail tells.
    pub(crate) fn held_at(&self, head: &Head, at: RoomSeq, place: (&str, &str)) -> Result<Held, SqlError> {
        let set = self.store().changes(head.tail, place.0, place.1)?.into_iter().rev().find(|event| event.seq <= at);
        let resolved =
            if head.resolved > head.tail { self.store().last_resolution((head.tail, at), place)? } else { None };
        let set_at = set.as_ref().map(|event| event.seq);
        Ok(match (set, resolved) {
            (_, Some((seq, event_id))) if Some(seq) >= set_at => match event_id {
                None => Held::Nothing,
                Some(event_id) => match self.store().event(event_id.as_str())? {
                    Some(event) => Held::Event(Box::new(StoredEvent { seq, ..event })),
                    None => Held::Unknown,
                },
            },
            (Some(event), _) => Held::Event(Box::new(event)),
            (None, _) => Held::Unknown,
        })
    }

    async fn stored_state(&self, at: RoomSeq, kind: &str, state_key: &str) -> Result<Vec<StoredEvent>, MatrixError> {
        let named = |wanted: &str| (wanted != ANY).then(|| wanted.to_owned());
        let ask = StateAt { room_id: self.room_id.clone(), at, kind: named(kind), state_key: named(state_key) };
        ask_storage(&*self.host, ask).await
    }

    /// An event in client form, with `room_id`, and with the transaction id for the device that sent it.
    pub(crate) fn client_form(
        &self,
        head: &Head,
        event: &StoredEvent,
        caller: Option<&Caller>,
    ) -> Result<RawJson, SqlError> {
        self.client_form_with(head, event, caller, None)
    }

    /// As [`Self::client_form`], with what others have said about the event.
    pub(crate) fn client_form_with(
        &self,
        head: &Head,
        event: &StoredEvent,
        caller: Option<&Caller>,
        relations: Option<&RawJson>,
    ) -> Result<RawJson, SqlError> {
        let own = caller.filter(|caller| caller.user_id == event.sender);
        let txn = event.txn.as_ref().filter(|txn| own.is_some_and(|caller| caller.device_id == txn.device_id));
        let transaction_id = txn.map(|txn| txn.txn_id.as_str());
        let form = Form { room_id: Some(&self.room_id), transaction_id, membership: None, relations };
        client_event(head.version, event, form).map_err(damaged)
    }
}

/// The pattern takes in the value.
pub(crate) fn matches(pattern: &str, value: &str) -> bool {
    pattern == ANY || pattern == value
}

#[cfg(test)]
mod tests {
    use tern_model::RoomSeq;

    use super::read_token;

    #[test]
    fn tokens_name_a_place_in_the_room() {
        assert_eq!(read_token("t12"), Ok(RoomSeq(12)));
        for none in ["", "t", "s12", "p3f9", "12345", "t+1", "t12_1", "12_", "_", "-1", "x12", "t99999999999999999999"]
        {
            assert!(read_token(none).is_err(), "{none}");
        }
    }
}
