//! The hub as the sync engine reads it. Rooms are read from SQLite when they are asked for and stay in memory; a poll
//! with no news asks for none.

use std::{
    cell::Cell,
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{DeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use tern_model::{NoticeEvent, RawJson, Receipt, RoomSeq, StoredEvent, StreamPos, Turned};
use tern_ports::{ObjectHost, Parking, SqlError};
use tern_push::Counts;
use tern_room::aggregate;
use tern_sync::{
    AccountData, DeviceListChanges, KeyCounts, PresencePos, RoomView, ThreadSubscription, ToDeviceMessage, TypingPos,
    Unread, UserView, presence_content,
};

use super::{
    UserActor,
    account_data::{DIRECT, PUSH_RULES, TAG, direct_rooms, tag_names},
    ignored::is_unheard,
    inbox::MEMBER,
    store::{
        Span, account_data, devices,
        facts::{self, Facts},
        inbox, keys, receipts,
        rooms::{self, RoomRow},
        threads, to_device, turned,
    },
};

/// Rooms in memory.
#[derive(Default)]
pub(super) struct RoomCache {
    views: BTreeMap<OwnedRoomId, Rc<RoomView>>,
    /// With `stale` ones, these are all rooms.
    complete: bool,
    /// Rooms that changed since they were read.
    stale: BTreeSet<OwnedRoomId>,
    /// Facts of rooms, which change less often than the rest.
    facts: BTreeMap<OwnedRoomId, Facts>,
    /// Rooms that `m.direct` names.
    direct: Option<Rc<BTreeSet<OwnedRoomId>>>,
}

impl RoomCache {
    /// A room's rows were written.
    pub(super) fn changed(&mut self, room_id: &RoomId) {
        self.views.remove(room_id);
        if self.complete {
            self.stale.insert(room_id.to_owned());
        }
    }

    /// A room's facts were written.
    pub(super) fn facts_changed(&mut self, room_id: &RoomId) {
        self.facts.remove(room_id);
        self.changed(room_id);
    }

    /// Tags of a room, or the list of direct chats, were written.
    pub(super) fn account_data_changed(&mut self, room_id: &RoomId) {
        self.direct = None;
        self.changed(room_id);
    }
}

/// What one device may be told as of one position. What came later, while slices were loaded, is left for the next step:
/// an answer that told of it could not say so in its position.
pub(super) struct View<'a, H> {
    actor: &'a UserActor<H>,
    device_id: &'a DeviceId,
    until: StreamPos,
    failed: Cell<bool>,
}

impl<'a, H: ObjectHost + Parking> View<'a, H> {
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

impl<H: ObjectHost + Parking> UserActor<H> {
    /// One room, unless it is unknown, forgotten, or an invite by somebody ignored.
    pub(super) fn room(&self, room_id: &RoomId) -> Result<Option<Rc<RoomView>>, SqlError> {
        if let Some(view) = self.rooms.borrow().views.get(room_id) {
            return Ok(Some(Rc::clone(view)));
        }
        let sql = self.host.sql();
        let Some(row) = rooms::load(sql, room_id)?.filter(|row| !row.forgotten) else { return Ok(None) };
        let facts = self.facts(room_id)?;
        if self.hides(&row, &facts)? {
            return Ok(None);
        }
        let tags = account_data::read(sql, Some(room_id), TAG)?;
        let tags = tags.as_ref().map(tag_names).unwrap_or_default();
        let view = Rc::new(view(row, facts, &*self.direct()?, tags));
        let mut cache = self.rooms.borrow_mut();
        cache.stale.remove(room_id);
        cache.views.insert(room_id.to_owned(), Rc::clone(&view));
        Ok(Some(view))
    }

    /// A room's facts.
    pub(super) fn facts(&self, room_id: &RoomId) -> Result<Facts, SqlError> {
        if let Some(facts) = self.rooms.borrow().facts.get(room_id) {
            return Ok(facts.clone());
        }
        let facts = facts::load(self.host.sql(), room_id)?;
        self.rooms.borrow_mut().facts.insert(room_id.to_owned(), facts.clone());
        Ok(facts)
    }

    fn all_rooms(&self) -> Result<Vec<Rc<RoomView>>, SqlError> {
        if self.rooms.borrow().complete {
            let stale = std::mem::take(&mut self.rooms.borrow_mut().stale);
            for room_id in &stale {
                self.room(room_id)?;
            }
        } else {
            self.load_rooms()?;
        }
        Ok(self.rooms.borrow().views.values().cloned().collect())
    }

    fn load_rooms(&self) -> Result<(), SqlError> {
        let sql = self.host.sql();
        let direct = self.direct()?;
        let mut facts = facts::all(sql)?;
        let mut tags: BTreeMap<_, _> = account_data::tags(sql)?.into_iter().collect();
        let mut views = BTreeMap::new();
        for row in rooms::all(sql)? {
            let facts = facts.remove(&row.room_id).unwrap_or_default();
            if self.hides(&row, &facts)? {
                continue;
            }
            let tags = tags.remove(&row.room_id).as_ref().map(tag_names).unwrap_or_default();
            views.insert(row.room_id.clone(), Rc::new(view(row, facts, &direct, tags)));
        }
        let mut cache = self.rooms.borrow_mut();
        (cache.views, cache.complete) = (views, true);
        cache.stale.clear();
        Ok(())
    }

    fn direct(&self) -> Result<Rc<BTreeSet<OwnedRoomId>>, SqlError> {
        if let Some(direct) = &self.rooms.borrow().direct {
            return Ok(Rc::clone(direct));
        }
        let content = account_data::read(self.host.sql(), None, DIRECT)?;
        let direct = Rc::new(content.as_ref().map(direct_rooms).unwrap_or_default());
        self.rooms.borrow_mut().direct = Some(Rc::clone(&direct));
        Ok(direct)
    }

    fn changed_rooms(&self, after: StreamPos) -> Result<Vec<Rc<RoomView>>, SqlError> {
        if self.hub.get().rooms <= after {
            return Ok(Vec::new());
        }
        if self.rooms.borrow().complete {
            let rooms = self.all_rooms()?;
            return Ok(rooms.into_iter().filter(|room| room.changed > after).collect());
        }
        let ids = rooms::changed(self.host.sql(), after)?;
        let views = ids.iter().map(|room_id| self.room(room_id)).collect::<Result<Vec<_>, _>>()?;
        Ok(views.into_iter().flatten().collect())
    }

    /// What the hub's newest position of a room was at `at`, if the inbox still tells.
    fn seq_at(&self, room_id: &RoomId, at: StreamPos) -> Result<Option<RoomSeq>, SqlError> {
        match self.room(room_id)? {
            Some(room) if room.activity <= at => Ok(Some(room.newest)),
            _ => inbox::newest_at(self.host.sql(), room_id, at),
        }
    }
}

fn view(row: RoomRow, facts: Facts, direct: &BTreeSet<OwnedRoomId>, tags: BTreeSet<String>) -> RoomView {
    RoomView {
        dm: direct.contains(&row.room_id),
        room_id: row.room_id,
        membership: row.membership,
        removed: row.removed,
        summary: facts.summary,
        changed: row.pos,
        relisted: row.relisted,
        activity: row.activity,
        bump_stamp: row.bump.0,
        newest: row.newest,
        inbox_from: row.inbox_from,
        joined: row.joined,
        turned: row.turned,
        stripped: facts.stripped,
        tags,
        unread: unread(row.ledger.total()),
        threads: row.ledger.unread_threads().map(|(root, counts)| (root.clone(), unread(counts))).collect(),
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

const fn unread(counts: Counts) -> Unread {
    Unread { notifications: counts.notifications, highlights: counts.highlights }
}

impl<H: ObjectHost + Parking> UserView for View<'_, H> {
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
        if room.turned.0 > 0 {
            let place = (MEMBER, user_id.as_str());
            if self.or_fail(turned::of_place(self.sql(), room_id, place)).is_some() {
                // It may have been replaced since: whoever is asked next knows.
                return None;
            }
        }
        self.or_fail(inbox::member(self.sql(), room_id, user_id, room.inbox_from))
    }

    fn turned(&self, room: &RoomView) -> Vec<Turned> {
        self.or_fail(turned::of_room(self.sql(), &room.room_id))
    }

    fn aggregated(&self, timeline: &[&NoticeEvent]) -> BTreeMap<RoomSeq, RawJson> {
        if !timeline.iter().any(|event| event.client.text().contains("m.relates_to")) {
            return BTreeMap::new();
        }
        let events: Vec<_> = timeline.iter().map(|event| as_stored(event)).collect();
        self.or_fail(aggregate::aggregated(&self.actor.user_id, &events).map_err(|error| SqlError(error.to_string())))
    }

    fn account_data(&self, after: StreamPos) -> Vec<AccountData> {
        let span = self.span(after, self.actor.hub.get().account_data);
        if span.is_none() && after > StreamPos(0) {
            return Vec::new();
        }
        let mut entries = span.map(|span| self.or_fail(account_data::global(self.sql(), span))).unwrap_or_default();
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
        self.or_fail(account_data::of_rooms(self.sql(), span))
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

    fn key_counts(&self) -> KeyCounts {
        KeyCounts {
            one_time: self.or_fail(keys::counts(self.sql(), self.device_id)),
            fallback: self.or_fail(keys::unused_fallbacks(self.sql(), self.device_id)),
        }
    }
}
