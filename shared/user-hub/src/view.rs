//! The hub as the sync engine reads it. Rooms come from [`super::room_cache`], everything else from SQLite; a poll with no
//! news asks for neither.

use std::{cell::Cell, collections::BTreeMap, rc::Rc};

use ruma::{DeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use tern_model::{NoticeEvent, RawJson, Receipt, ResolvedState, RoomSeq, StoredEvent, StreamPos};
use tern_ports::{ObjectHost, SqlError, WaitingPolls};
use tern_room::aggregate;
use tern_sync::{
    AccountData, DeviceListChanges, Forgotten, KeyCounts, PresencePos, RoomView, Sticky, ThreadSubscription,
    ToDeviceMessage, TypingPos, UserView, presence_content,
};

use super::{
    UserActor,
    account_data::{PUSH_RULES, is_deleted},
    ignored::is_unheard,
    member::MEMBER,
    store::{Span, account_data, devices, inbox, keys, receipts, resolved, sticky, threads, to_device},
};

/// What one device may be told as of one position. What came later, while slices were loaded, is left for the next step:
/// an answer that told of it could not say so in its position.
pub(super) struct View<'a, H> {
    actor: &'a UserActor<H>,
    device_id: &'a DeviceId,
    until: StreamPos,
    failed: Cell<bool>,
}

impl<'a, H: ObjectHost + WaitingPolls> View<'a, H> {
    /// The view as of now.
    pub(super) fn new(actor: &'a UserActor<H>, device_id: &'a DeviceId) -> Self {
        Self { actor, device_id, until: actor.hub.get().position, failed: Cell::new(false) }
    }

    /// The database refused something, so what the engine made of this view must not be used.
    pub(super) fn failed(&self) -> bool {
        self.failed.get()
    }

    fn sql(&self) -> &H::Sql {
        self.actor.host.sql()
    }

    /// The positions after `after` that belong to this view; nothing when `newest` is not after it.
    fn span(&self, after: StreamPos, newest: StreamPos) -> Option<Span> {
        (newest > after).then_some(Span { after, until: self.until })
    }

    fn or_fail<T: Default>(&self, result: Result<T, SqlError>) -> T {
        result.unwrap_or_else(|_| {
            self.failed.set(true);
            T::default()
        })
    }
}

/// An event as the rules of relations read it: what they ask of a PDU, its client form has as well.
fn as_stored(event: &NoticeEvent) -> StoredEvent {
    #[derive(serde::Deserialize)]
    struct Event {
        unsigned: RawJson,
    }
    StoredEvent {
        seq: event.seq,
        event_id: event.event_id.clone(),
        kind: event.kind.clone(),
        sender: event.sender.to_string(),
        state_key: event.state_key.clone(),
        ts: event.ts,
        pdu: event.client.clone(),
        unsigned: event.client.read::<Event>().ok().map(|event| event.unsigned),
        txn: None,
    }
}

/// A limit as the database takes it.
fn limit_of(limit: usize) -> u64 {
    u64::try_from(limit).unwrap_or(u64::MAX).min(u64::MAX >> 11)
}

impl<H: ObjectHost + WaitingPolls> UserView for View<'_, H> {
    fn user_id(&self) -> &UserId {
        &self.actor.user_id
    }

    fn device_id(&self) -> &DeviceId {
        self.device_id
    }

    fn position(&self) -> StreamPos {
        self.until
    }

    fn relisted(&self) -> StreamPos {
        self.actor.hub.get().relisted
    }

    fn rooms(&self) -> Vec<Rc<RoomView>> {
        self.or_fail(self.actor.all_rooms())
    }

    fn room(&self, room_id: &RoomId) -> Option<Rc<RoomView>> {
        self.or_fail(self.actor.room(room_id))
    }

    fn changed_rooms(&self, after: StreamPos) -> Vec<Rc<RoomView>> {
        self.or_fail(self.actor.changed_rooms(after))
    }

    fn forgotten(&self, after: StreamPos) -> Vec<Forgotten> {
        self.or_fail(self.actor.forgotten_rooms(after))
    }

    fn inbox(&self, room_id: &RoomId, after: RoomSeq) -> Vec<Rc<NoticeEvent>> {
        // Events from before a gap are still stored, and not part of the inbox any more.
        let Some(room) = self.room(room_id) else { return Vec::new() };
        let mut events =
            self.or_fail(inbox::after(self.sql(), room_id, after.max(room.inbox_from.previous()), self.until));
        let ignored = self.or_fail(self.actor.ignored());
        events.retain(|event| !is_unheard(&ignored, event));
        events
    }

    fn seq_at(&self, room_id: &RoomId, at: StreamPos) -> Option<RoomSeq> {
        self.or_fail(self.actor.seq_at(room_id, at))
    }

    fn member(&self, room_id: &RoomId, user_id: &UserId) -> Option<RawJson> {
        let room = self.room(room_id)?;
        if room.resolved.0 > 0 {
            let place = (MEMBER, user_id.as_str());
            if self.or_fail(resolved::of_place(self.sql(), room_id, place)).is_some() {
                // It may have been replaced since: whoever is asked next knows.
                return None;
            }
        }
        self.or_fail(inbox::member(self.sql(), room_id, user_id, room.inbox_from))
    }

    fn resolved(&self, room: &RoomView) -> Vec<ResolvedState> {
        self.or_fail(resolved::of_room(self.sql(), &room.room_id))
    }

    fn aggregated(&self, timeline: &[&NoticeEvent]) -> BTreeMap<RoomSeq, RawJson> {
        if !timeline.iter().any(|event| event.client.text().contains("m.relates_to")) {
            return BTreeMap::new();
        }
        // State of ignored users is in the timeline; as child events, it is not considered.
        let ignored = self.or_fail(self.actor.ignored());
        let considered = timeline.iter().filter(|event| !ignored.contains(&event.sender));
        let events: Vec<_> = considered.map(|event| as_stored(event)).collect();
        self.or_fail(aggregate::aggregated(&self.actor.user_id, &events).map_err(|error| SqlError(error.to_string())))
    }

    fn account_data(&self, after: StreamPos) -> Vec<AccountData> {
        let span = self.span(after, self.actor.hub.get().account_data);
        if span.is_none() && after > StreamPos(0) {
            return Vec::new();
        }
        let mut entries = span.map(|span| self.or_fail(account_data::global(self.sql(), span))).unwrap_or_default();
        if after == StreamPos(0) {
            entries.retain(|entry| !is_deleted(&entry.content));
        }
        // The predefined rules are in force, and told, before anything is stored.
        let stored = entries.iter_mut().find(|entry| entry.kind == PUSH_RULES);
        if stored.is_some() || after == StreamPos(0) {
            match (self.actor.push_rules(), stored) {
                (Ok(rules), Some(entry)) => entry.content = rules.to_content(),
                (Ok(rules), None) => {
                    entries.push(AccountData { kind: PUSH_RULES.to_owned(), content: rules.to_content() });
                }
                (Err(_), _) => self.failed.set(true),
            }
        }
        entries
    }

    fn rooms_account_data(&self, after: StreamPos) -> Vec<(OwnedRoomId, AccountData)> {
        let Some(span) = self.span(after, self.actor.hub.get().account_data) else { return Vec::new() };
        let mut entries = self.or_fail(account_data::of_rooms(self.sql(), span));
        // Only who may know of an entry hears that it is gone (MSC3391).
        entries.retain(|(_, entry)| after > StreamPos(0) || !is_deleted(&entry.content));
        entries
    }

    fn room_account_data(&self, room_id: &RoomId) -> Vec<AccountData> {
        self.or_fail(account_data::of_room(self.sql(), room_id))
    }

    fn receipts(&self, after: StreamPos) -> Vec<(OwnedRoomId, Receipt)> {
        let Some(span) = self.span(after, self.actor.hub.get().receipts) else { return Vec::new() };
        let mut receipts = self.or_fail(receipts::changed(self.sql(), span));
        let ignored = self.or_fail(self.actor.ignored());
        receipts.retain(|(_, receipt)| !ignored.contains(&receipt.user_id));
        receipts
    }

    fn room_receipts(&self, room_id: &RoomId) -> Vec<Receipt> {
        let mut receipts = self.or_fail(receipts::of_room(self.sql(), room_id));
        let ignored = self.or_fail(self.actor.ignored());
        receipts.retain(|receipt| !ignored.contains(&receipt.user_id));
        receipts
    }

    fn thread_subscriptions(&self, after: StreamPos, limit: usize) -> Vec<ThreadSubscription> {
        let Some(span) = self.span(after, self.actor.hub.get().threads) else { return Vec::new() };
        self.or_fail(threads::changed(self.sql(), span, limit_of(limit)))
    }

    fn sticky_position(&self) -> StreamPos {
        self.actor.hub.get().sticky
    }

    fn sticky(&self, after: StreamPos, limit: usize) -> Vec<Sticky> {
        let Some(mut span) = self.span(after, self.actor.hub.get().sticky) else { return Vec::new() };
        let ignored = self.or_fail(self.actor.ignored());
        loop {
            let mut events = self.or_fail(sticky::between(self.sql(), span, self.actor.host.now(), limit_of(limit)));
            let Some(last) = events.last() else { return events };
            span.after = last.at;
            events.retain(|event| !ignored.contains(&event.sender));
            if !events.is_empty() {
                return events;
            }
        }
    }

    fn room_sticky(&self, room_id: &RoomId, after: StreamPos) -> Vec<Sticky> {
        let Some(span) = self.span(after, self.actor.hub.get().sticky) else { return Vec::new() };
        let mut events = self.or_fail(sticky::of_room(self.sql(), room_id, span, self.actor.host.now()));
        let ignored = self.or_fail(self.actor.ignored());
        events.retain(|event| !ignored.contains(&event.sender));
        events
    }

    fn typing(&self, after: TypingPos) -> Vec<(OwnedRoomId, Vec<OwnedUserId>)> {
        self.actor.typing.borrow().changed(after)
    }

    fn typing_position(&self) -> TypingPos {
        self.actor.typing.borrow().newest()
    }

    fn room_typing(&self, room_id: &RoomId) -> Vec<OwnedUserId> {
        self.actor.typing.borrow().of_room(room_id)
    }

    fn presence(&self, after: PresencePos) -> Vec<(OwnedUserId, String)> {
        let now = self.actor.host.now();
        let others = self.actor.others.borrow();
        others.changed(after).map(|(user_id, note)| (user_id.clone(), presence_content(note, now))).collect()
    }

    fn presence_position(&self) -> PresencePos {
        self.actor.others.borrow().newest()
    }

    fn to_device(&self, after: StreamPos, limit: usize) -> Vec<ToDeviceMessage> {
        let Some(span) = self.span(after, self.actor.hub.get().to_device) else { return Vec::new() };
        self.or_fail(to_device::between(self.sql(), self.device_id, span, limit_of(limit)))
    }

    fn device_lists(&self, after: StreamPos) -> DeviceListChanges {
        let Some(span) = self.span(after, self.actor.hub.get().e2ee) else { return DeviceListChanges::default() };
        let mut lists = DeviceListChanges::default();
        for (user_id, shares) in self.or_fail(devices::list_changes(self.sql(), span)) {
            let followed = shares || user_id == self.actor.user_id;
            if followed { &mut lists.changed } else { &mut lists.left }.push(user_id);
        }
        lists
    }

    fn key_counts_at(&self) -> StreamPos {
        self.actor.key_counts_at.borrow().get(self.device_id).copied().unwrap_or_default()
    }

    fn has_keys(&self) -> bool {
        self.or_fail(keys::has_any(self.sql(), self.device_id))
    }

    fn key_counts(&self) -> KeyCounts {
        KeyCounts {
            one_time: self.or_fail(keys::counts(self.sql(), self.device_id)),
            fallback: self.or_fail(keys::unused_fallbacks(self.sql(), self.device_id)),
        }
    }
}
