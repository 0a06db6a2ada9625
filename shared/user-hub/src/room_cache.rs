//! Rooms as the sync engine reads them, read from SQLite when they are asked for and kept in memory.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    rc::Rc,
};

use ruma::{OwnedRoomId, RoomId};
use tern_model::{RoomSeq, StreamPos};
use tern_ports::{ObjectHost, SqlError, WaitingPolls};
use tern_push::Counts;
use tern_sync::{Forgotten, RoomView, Unread};

use super::{
    UserActor,
    account_data::{DIRECT, TAG, direct_rooms, tag_names},
    member::is_member_event_of,
    store::{
        account_data,
        facts::{self, Facts},
        inbox, places,
        rooms::{self, RoomRow},
    },
};

/// Rooms in memory.
#[derive(Default)]
pub(super) struct RoomCache {
    views: BTreeMap<OwnedRoomId, Rc<RoomView>>,
    /// The same by their last change, so that what is new is found without a look at the rest.
    by_change: BTreeMap<StreamPos, Vec<Rc<RoomView>>>,
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
    fn put(&mut self, view: Rc<RoomView>) {
        self.drop_view(&view.room_id);
        self.by_change.entry(view.changed).or_default().push(Rc::clone(&view));
        self.views.insert(view.room_id.clone(), view);
    }

    fn drop_view(&mut self, room_id: &RoomId) {
        let Some(view) = self.views.remove(room_id) else { return };
        if let Entry::Occupied(mut changed) = self.by_change.entry(view.changed) {
            changed.get_mut().retain(|other| other.room_id != room_id);
            if changed.get().is_empty() {
                changed.remove();
            }
        }
    }

    /// A room's rows were written.
    pub(super) fn changed(&mut self, room_id: &RoomId) {
        self.drop_view(room_id);
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

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// One room, unless it is unknown, forgotten, or an invite by somebody ignored.
    pub(super) fn room(&self, room_id: &RoomId) -> Result<Option<Rc<RoomView>>, SqlError> {
        if let Some(view) = self.rooms.borrow().views.get(room_id) {
            return Ok(Some(Rc::clone(view)));
        }
        let sql = self.host.sql();
        let Some(row) = self.room_row(room_id)?.filter(|row| !row.forgotten) else { return Ok(None) };
        let facts = self.facts(room_id)?;
        if self.hides(&row, &facts)? {
            return Ok(None);
        }
        let tags = account_data::read(sql, Some(room_id), TAG)?;
        let tags = tags.as_ref().map(tag_names).unwrap_or_default();
        let view = Rc::new(view(row, facts, &*self.direct()?, tags));
        let mut cache = self.rooms.borrow_mut();
        cache.stale.remove(room_id);
        cache.put(Rc::clone(&view));
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

    pub(super) fn all_rooms(&self) -> Result<Vec<Rc<RoomView>>, SqlError> {
        self.complete_rooms()?;
        Ok(self.rooms.borrow().views.values().cloned().collect())
    }

    /// Has all rooms in memory, as they are now.
    fn complete_rooms(&self) -> Result<(), SqlError> {
        if !self.rooms.borrow().complete {
            return self.load_rooms();
        }
        let stale: Vec<_> = self.rooms.borrow().stale.iter().cloned().collect();
        for room_id in &stale {
            self.room(room_id)?;
            self.rooms.borrow_mut().stale.remove(room_id);
        }
        Ok(())
    }

    fn load_rooms(&self) -> Result<(), SqlError> {
        let sql = self.host.sql();
        let direct = self.direct()?;
        let mut facts = facts::all(sql)?;
        let mut tags: BTreeMap<_, _> = account_data::tags(sql)?.into_iter().collect();
        let mut cache = RoomCache { complete: true, direct: Some(Rc::clone(&direct)), ..RoomCache::default() };
        for row in self.room_rows()? {
            let facts = facts.remove(&row.room_id).unwrap_or_default();
            if self.hides(&row, &facts)? {
                continue;
            }
            let tags = tags.remove(&row.room_id).as_ref().map(tag_names).unwrap_or_default();
            cache.put(Rc::new(view(row, facts, &direct, tags)));
        }
        let mut known = self.rooms.borrow_mut();
        cache.facts = std::mem::take(&mut known.facts);
        *known = cache;
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

    pub(super) fn changed_rooms(&self, after: StreamPos) -> Result<Vec<Rc<RoomView>>, SqlError> {
        if self.hub.get().rooms <= after {
            return Ok(Vec::new());
        }
        if self.rooms.borrow().complete {
            self.complete_rooms()?;
            let cache = self.rooms.borrow();
            return Ok(cache.by_change.range(after.next()..).flat_map(|(_, rooms)| rooms).cloned().collect());
        }
        let ids = self.changed_room_ids(after)?;
        let views = ids.iter().map(|room_id| self.room(room_id)).collect::<Result<Vec<_>, _>>()?;
        Ok(views.into_iter().flatten().collect())
    }

    /// Rooms forgotten after `after`, with the member event that is kept of them.
    pub(super) fn forgotten_rooms(&self, after: StreamPos) -> Result<Vec<Forgotten>, SqlError> {
        let (sql, direct) = (self.host.sql(), self.direct()?);
        let mut forgotten = Vec::new();
        for row in rooms::forgotten(sql, after)? {
            // A hub of an earlier build kept none.
            let Some((left, event)) = inbox::at(sql, &row.room_id, row.newest)? else { continue };
            if is_member_event_of(&event, &self.user_id) {
                let room = Rc::new(view(row, Facts::default(), &direct, BTreeSet::new()));
                forgotten.push(Forgotten { room, event: Rc::new(event), left });
            }
        }
        Ok(forgotten)
    }

    /// What the hub's newest position of a room was at `at`, if the inbox, or what is kept of it, still tells.
    pub(super) fn seq_at(&self, room_id: &RoomId, at: StreamPos) -> Result<Option<RoomSeq>, SqlError> {
        match self.room(room_id)? {
            Some(room) if room.activity <= at => Ok(Some(room.newest)),
            _ => match inbox::newest_at(self.host.sql(), room_id, at)? {
                None => places::at(self.host.sql(), room_id, at),
                known => Ok(known),
            },
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
        resolved: row.resolved,
        stripped: facts.stripped,
        tags,
        unread: unread(row.unread_counts.total()),
        threads: row.unread_counts.unread_threads().map(|(root, counts)| (root.clone(), unread(counts))).collect(),
    }
}

const fn unread(counts: Counts) -> Unread {
    Unread { notifications: counts.notifications, highlights: counts.highlights }
}
