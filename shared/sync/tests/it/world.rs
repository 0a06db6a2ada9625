//! Rooms with their whole history, the hub of one of their members, and a device that syncs.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;

use ruma::{DeviceId, OwnedRoomId, OwnedUserId, RoomId, UserId};
use serde_json::{Value, json};
use tern_model::{
    Hero, MatrixError, Millis, NoticeEvent, RawJson, Receipt, ResolvedState, RoomSeq, RoomSummary, StreamPos, TxnRef,
};
use tern_sync::{
    AccountData, Begin, Body, Connection, DeviceListChanges, Forgotten, KeyCounts, Membership, Parts, PresencePos,
    Request, RoomView, Shape, Slice, SliceAsk, Slices, Sticky, ThreadSubscription, ToDeviceMessage, TypingPos, Unread,
    UserView, answer, is_bump, plan,
};

pub(crate) const ME: &str = "@me:tern.test";
pub(crate) const DEVICE: &str = "DEVICE";

/// A room's truth.
#[derive(Default)]
pub(crate) struct Truth {
    pub(crate) events: Vec<NoticeEvent>,
}

impl Truth {
    fn state_at(&self, through: RoomSeq) -> BTreeMap<(String, String), &NoticeEvent> {
        let upto = self.events.iter().filter(|event| event.seq <= through);
        upto.filter_map(|event| Some(((event.kind.clone(), event.state_key.clone()?), event))).collect()
    }

    fn content(&self, kind: &str, key: &str) -> Option<Value> {
        let state = self.state_at(RoomSeq(u64::MAX));
        let event = state.get(&(kind.to_owned(), key.to_owned()))?;
        Some(event.client.read::<Value>().unwrap()["content"].clone())
    }

    fn summary(&self) -> RoomSummary {
        let text = |kind: &str, field: &str| self.content(kind, "")?[field].as_str().map(str::to_owned);
        let state = self.state_at(RoomSeq(u64::MAX));
        let mut members: Vec<_> = state
            .values()
            .filter(|event| event.kind == "m.room.member")
            .map(|event| (event.seq, event.state_key.clone().unwrap(), event.client.read::<Value>().unwrap()))
            .collect();
        members.sort_by_key(|member| member.0);
        let count = |membership: &str| {
            members.iter().filter(|member| member.2["content"]["membership"] == membership).count() as u64
        };
        let hero = |(_, user, event): &(RoomSeq, String, Value)| Hero {
            user_id: user.as_str().try_into().unwrap(),
            name: event["content"]["displayname"].as_str().map(str::to_owned),
            avatar: None,
        };
        RoomSummary {
            version: "12".to_owned(),
            name: text("m.room.name", "name"),
            avatar: text("m.room.avatar", "url"),
            room_type: text("m.room.create", "type"),
            encrypted: self.content("m.room.encryption", "").is_some(),
            children: state.keys().filter(|key| key.0 == "m.space.child").map(|key| key.1.clone()).collect(),
            joined: count("join"),
            invited: count("invite"),
            heroes: members
                .iter()
                .filter(|member| member.2["content"]["membership"] == "join")
                .take(6)
                .map(hero)
                .collect(),
            ..RoomSummary::default()
        }
    }
}

/// The user's hub and the rooms behind it.
pub(crate) struct World {
    pub(crate) rooms: BTreeMap<OwnedRoomId, Truth>,
    pub(crate) views: BTreeMap<OwnedRoomId, Rc<RoomView>>,
    pub(crate) inbox: BTreeMap<OwnedRoomId, Vec<(StreamPos, Rc<NoticeEvent>)>>,
    pub(crate) position: StreamPos,
    pub(crate) relisted: StreamPos,
    pub(crate) clock: u64,
    pub(crate) inbox_size: usize,
    /// The storage worker is this many events behind.
    pub(crate) lag: u64,
    /// What state resolution changed, by room.
    pub(crate) resolved: BTreeMap<OwnedRoomId, Vec<ResolvedState>>,
    /// Slices cannot be loaded at all.
    pub(crate) cut_off: bool,
    /// Rooms that were forgotten, and when.
    pub(crate) forgotten: Vec<(StreamPos, Forgotten)>,
    /// The hub remembers member events.
    pub(crate) members: bool,
    pub(crate) account_data: Vec<(StreamPos, Option<OwnedRoomId>, AccountData)>,
    pub(crate) receipts: Vec<(StreamPos, OwnedRoomId, Receipt)>,
    pub(crate) typing: BTreeMap<OwnedRoomId, (TypingPos, Vec<OwnedUserId>)>,
    pub(crate) presence: BTreeMap<OwnedUserId, (PresencePos, String)>,
    pub(crate) to_device: Vec<ToDeviceMessage>,
    /// Oldest first.
    pub(crate) threads: Vec<ThreadSubscription>,
    pub(crate) sticky: Vec<Sticky>,
    pub(crate) device_lists: Vec<(StreamPos, OwnedUserId, bool)>,
    /// The device has uploaded no keys.
    pub(crate) keyless: bool,
    pub(crate) keys: KeyCounts,
    pub(crate) keys_at: StreamPos,
    /// Rooms handed to the engine.
    pub(crate) visited: Cell<usize>,
    /// Calls of the view other than for its position.
    pub(crate) calls: Cell<usize>,
    /// Slices loaded.
    pub(crate) loaded: Cell<usize>,
}

pub(crate) fn id(name: &str) -> OwnedRoomId {
    RoomId::parse(format!("!{name}:tern.test")).unwrap()
}

pub(crate) fn user(name: &str) -> String {
    format!("@{name}:tern.test")
}

impl Default for World {
    fn default() -> Self {
        Self {
            rooms: BTreeMap::new(),
            views: BTreeMap::new(),
            inbox: BTreeMap::new(),
            position: StreamPos(0),
            relisted: StreamPos(0),
            clock: 1_000,
            inbox_size: 50,
            lag: 0,
            resolved: BTreeMap::new(),
            cut_off: false,
            forgotten: Vec::new(),
            members: false,
            account_data: Vec::new(),
            receipts: Vec::new(),
            typing: BTreeMap::new(),
            presence: BTreeMap::new(),
            to_device: Vec::new(),
            threads: Vec::new(),
            sticky: Vec::new(),
            device_lists: Vec::new(),
            keyless: false,
            keys: KeyCounts::default(),
            keys_at: StreamPos(0),
            visited: Cell::new(0),
            calls: Cell::new(0),
            loaded: Cell::new(0),
        }
    }
}

impl World {
    /// The next position, taken by the caller.
    pub(crate) fn tick(&mut self) -> StreamPos {
        self.position = self.position.next();
        self.position
    }

    /// A position of who types, as the hub's clock gives it.
    pub(crate) fn clock(&mut self) -> TypingPos {
        self.clock += 1;
        TypingPos(self.clock)
    }

    fn append(
        &mut self,
        room_id: &RoomId,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: &Value,
    ) -> NoticeEvent {
        self.clock += 1;
        let truth = self.rooms.entry(room_id.to_owned()).or_default();
        let seq = RoomSeq(truth.events.len() as u64 + 1);
        let event_id = format!("$e{}-{}", seq.0, room_id.as_str().trim_start_matches('!').replace(':', "."));
        let mut client = json!({
            "type": kind, "sender": sender, "content": content, "event_id": event_id, "origin_server_ts": self.clock,
        });
        if let Some(key) = key {
            client["state_key"] = key.into();
            let replaced = truth
                .state_at(RoomSeq(u64::MAX))
                .get(&(kind.to_owned(), key.to_owned()))
                .map(|event| event.client.read::<Value>().unwrap());
            if let Some(replaced) = replaced {
                client["unsigned"] = json!({"prev_content": replaced["content"]});
            }
        }
        let event = NoticeEvent {
            seq,
            event_id: event_id.as_str().try_into().unwrap(),
            kind: kind.to_owned(),
            sender: sender.try_into().unwrap(),
            state_key: key.map(str::to_owned),
            ts: Millis(self.clock),
            client: RawJson::from_value(&client).unwrap(),
            txn: None,
            redacts: None,
            pings_room: false,
        };
        truth.events.push(event.clone());
        event
    }

    /// Sends an event and tells the hub, if the user is in the room or it is about them.
    pub(crate) fn send_as(
        &mut self,
        room: &str,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: Value,
    ) -> String {
        self.send_txn(room, sender, kind, key, content, None)
    }

    pub(crate) fn send_txn(
        &mut self,
        room: &str,
        sender: &str,
        kind: &str,
        key: Option<&str>,
        content: Value,
        txn: Option<(&str, &str)>,
    ) -> String {
        let room_id = id(room);
        let mut event = self.append(&room_id, sender, kind, key, &content);
        event.txn = txn.map(|(device, txn)| TxnRef { device_id: device.into(), txn_id: txn.to_owned() });
        if let Some(stored) = self.rooms.get_mut(&room_id).and_then(|truth| truth.events.last_mut()) {
            stored.txn.clone_from(&event.txn);
        }
        let event_id = event.event_id.to_string();
        let own = kind == "m.room.member" && key == Some(ME);
        let joined = self.views.get(&room_id).is_some_and(|view| view.is_joined());
        if own || joined {
            self.notice(
                &room_id,
                event,
                own.then(|| Membership::parse(content["membership"].as_str().unwrap()).unwrap()),
            );
        }
        event_id
    }

    /// A message from somebody.
    pub(crate) fn say(&mut self, room: &str, body: &str) -> String {
        self.send_as(room, &user("other"), "m.room.message", None, json!({"body": body}))
    }

    pub(crate) fn state(&mut self, room: &str, kind: &str, key: &str, content: Value) -> String {
        self.send_as(room, &user("other"), kind, Some(key), content)
    }

    pub(crate) fn member(&mut self, room: &str, who: &str, by: &str, membership: &str) -> String {
        self.send_as(room, by, "m.room.member", Some(who), json!({"membership": membership, "displayname": who}))
    }

    /// A room made by somebody, without the user.
    pub(crate) fn found(&mut self, room: &str, kind: Option<&str>) {
        let other = user("other");
        let content = kind.map_or(json!({}), |kind| json!({"type": kind}));
        self.send_as(room, &other, "m.room.create", Some(""), content);
        self.member(room, &other, &other, "join");
        self.send_as(room, &other, "m.room.name", Some(""), json!({"name": format!("Room {room}")}));
    }

    /// A room that the user is in.
    pub(crate) fn room(&mut self, room: &str) {
        self.found(room, None);
        self.member(room, ME, ME, "join");
    }

    fn notice(&mut self, room_id: &RoomId, event: NoticeEvent, membership: Option<Membership>) {
        let at = self.tick();
        let before = self.views.get(room_id).map(|view| (**view).clone());
        let summary = Rc::new(self.rooms[room_id].summary());
        let mut view = before.clone().unwrap_or_else(|| RoomView {
            room_id: room_id.to_owned(),
            membership: Membership::Leave,
            removed: false,
            summary: None,
            changed: at,
            relisted: at,
            activity: at,
            bump_stamp: 0,
            newest: RoomSeq(0),
            inbox_from: RoomSeq(1),
            joined: RoomSeq(0),
            resolved: RoomSeq(0),
            stripped: Rc::new([]),
            dm: false,
            tags: BTreeSet::new(),
            unread: Unread::default(),
            threads: BTreeMap::new(),
        });
        let joins = membership == Some(Membership::Join) && !before.as_ref().is_some_and(RoomView::is_joined);
        if let Some(membership) = membership {
            if view.membership != membership || before.is_none() {
                view.relisted = at;
            }
            view.removed = match view.membership {
                Membership::Join => event.sender != ME,
                Membership::Invite | Membership::Knock => false,
                Membership::Leave | Membership::Ban => view.removed,
            };
            view.membership = membership;
            view.bump_stamp = event.ts.0;
            if joins {
                view.joined = event.seq;
            }
            view.stripped = if matches!(membership, Membership::Invite | Membership::Knock) {
                let state = self.rooms[room_id].state_at(RoomSeq(u64::MAX));
                let shown = ["m.room.create", "m.room.name", "m.room.encryption"];
                let stripped = |event: &&NoticeEvent| {
                    shown.contains(&event.kind.as_str())
                        || (event.kind == "m.room.member" && event.state_key.as_deref() == Some(ME))
                };
                state.into_values().filter(stripped).map(|event| event.client.clone()).collect()
            } else {
                Rc::new([])
            };
        }
        if view.is_joined() {
            if view.summary.as_ref().is_none_or(|old| tern_sync::relists(old, &summary)) {
                view.relisted = at;
            }
            view.summary = Some(summary);
        }
        if is_bump(&event.kind) {
            view.bump_stamp = event.ts.0;
        }
        let inbox = self.inbox.entry(room_id.to_owned()).or_default();
        if event.seq > view.newest.next() || (before.is_none() && event.seq.0 > 1) {
            inbox.clear();
            view.inbox_from = event.seq;
        }
        view.newest = event.seq;
        inbox.push((at, Rc::new(event)));
        while inbox.len() > self.inbox_size {
            inbox.remove(0);
        }
        view.inbox_from = inbox.first().map_or(view.newest.next(), |first| first.1.seq);
        (view.changed, view.activity) = (at, at);
        self.relisted = self.relisted.max(view.relisted);
        self.views.insert(room_id.to_owned(), Rc::new(view));
    }

    /// Changes what the hub knows of a room beside its events.
    pub(crate) fn adjust(&mut self, room: &str, relist: bool, change: impl FnOnce(&mut RoomView)) {
        let at = self.tick();
        let mut view = (*self.views[&id(room)]).clone();
        change(&mut view);
        view.changed = at;
        if relist {
            view.relisted = at;
            self.relisted = at;
        }
        self.views.insert(id(room), Rc::new(view));
    }

    pub(crate) fn forget(&mut self, room: &str) {
        self.relisted = self.tick();
        let Some(room) = self.views.remove(&id(room)) else { return };
        let own = |event: &&(StreamPos, Rc<NoticeEvent>)| event.1.state_key.as_deref() == Some(ME);
        if let Some((left, event)) = self.inbox.remove(&room.room_id).and_then(|inbox| inbox.iter().rfind(own).cloned())
        {
            self.forgotten.push((self.position, Forgotten { room, event, left }));
        }
    }

    /// Answers asks, first as a storage worker that is behind, then as the rooms' hubs.
    pub(crate) fn load(&self, asks: &[SliceAsk], unmet: impl Fn(&Slices) -> Vec<SliceAsk>) -> Slices {
        let mut slices = Slices::new();
        if self.cut_off {
            return slices;
        }
        for ask in asks {
            slices.insert(ask.room_id.clone(), self.slice(ask, self.lag));
        }
        for ask in unmet(&slices) {
            slices.insert(ask.room_id.clone(), self.slice(&ask, 0));
        }
        slices
    }

    fn slice(&self, ask: &SliceAsk, lag: u64) -> Slice {
        self.loaded.set(self.loaded.get() + 1);
        let truth = &self.rooms[&ask.room_id];
        let newest = RoomSeq(truth.events.len() as u64 - lag.min(truth.events.len() as u64));
        let through = ask.until.map_or(newest, |until| newest.min(until));
        let after = ask.after.unwrap_or_default();
        let events: Vec<_> = truth.events.iter().filter(|event| event.seq > after && event.seq <= through).collect();
        let skipped = events.len().saturating_sub(ask.limit as usize);
        let timeline: Vec<NoticeEvent> = events[skipped..].iter().map(|event| (*event).clone()).collect();
        let asked = |kind: &str, key: &str| {
            let all = |part: &str, value: &str| part == "*" || part == value;
            ask.state.iter().any(|pair| all(&pair.0, kind) && all(&pair.1, key))
        };
        let sends = |user: &str| ask.lazy && timeline.iter().any(|event| event.sender == user);
        let state = truth.state_at(through).into_iter().filter(|((kind, key), event)| {
            let lazy = kind == "m.room.member" && (sends(key) || ask.members.contains(key));
            lazy || (asked(kind, key) && event.seq > after)
        });
        let mut state: Vec<NoticeEvent> = state.map(|(_, event)| event.clone()).collect();
        let start = timeline.first().map_or(RoomSeq(0), |first| first.seq.previous());
        let set = |(kind, key): &(String, String)| {
            timeline.iter().any(|event| event.kind == *kind && event.state_key.as_deref() == Some(key))
        };
        let before = truth.state_at(start).into_iter().filter(|(place, event)| set(place) && event.seq > after);
        state.extend(before.filter(|_| ask.replaced).map(|(_, event)| event.clone()));
        Slice { through, timeline, limited: skipped > 0, state }
    }

    fn count(&self) {
        self.calls.set(self.calls.get() + 1);
    }
}

impl UserView for World {
    fn resolved(&self, room: &RoomView) -> Vec<ResolvedState> {
        self.resolved.get(&room.room_id).cloned().unwrap_or_default()
    }

    fn aggregated(&self, _: &[&NoticeEvent]) -> BTreeMap<RoomSeq, RawJson> {
        BTreeMap::new()
    }

    fn user_id(&self) -> &UserId {
        ME.try_into().unwrap()
    }

    fn device_id(&self) -> &DeviceId {
        DEVICE.into()
    }

    fn position(&self) -> StreamPos {
        self.position
    }

    fn relisted(&self) -> StreamPos {
        self.relisted
    }

    fn rooms(&self) -> Vec<Rc<RoomView>> {
        self.count();
        self.visited.set(self.visited.get() + self.views.len());
        self.views.values().cloned().collect()
    }

    fn room(&self, room_id: &RoomId) -> Option<Rc<RoomView>> {
        self.count();
        self.visited.set(self.visited.get() + 1);
        self.views.get(room_id).cloned()
    }

    fn changed_rooms(&self, after: StreamPos) -> Vec<Rc<RoomView>> {
        self.count();
        let rooms: Vec<_> = self.views.values().filter(|view| view.changed > after).cloned().collect();
        self.visited.set(self.visited.get() + rooms.len());
        rooms
    }

    fn forgotten(&self, after: StreamPos) -> Vec<Forgotten> {
        self.count();
        let since = self
            .forgotten
            .iter()
            .filter(|(at, forgotten)| *at > after && !self.views.contains_key(&forgotten.room.room_id));
        since.map(|(_, forgotten)| forgotten.clone()).collect()
    }

    fn inbox(&self, room_id: &RoomId, after: RoomSeq) -> Vec<Rc<NoticeEvent>> {
        self.count();
        let inbox = self.inbox.get(room_id).into_iter().flatten();
        inbox.map(|(_, event)| Rc::clone(event)).filter(|event| event.seq > after).collect()
    }

    fn seq_at(&self, room_id: &RoomId, at: StreamPos) -> Option<RoomSeq> {
        self.count();
        let inbox = self.inbox.get(room_id)?;
        let known = inbox.iter().filter(|(pos, _)| *pos <= at).map(|(_, event)| event.seq).max();
        known.or_else(|| inbox.first().is_some_and(|(_, event)| event.seq.0 == 1).then_some(RoomSeq(0)))
    }

    fn member(&self, room_id: &RoomId, user_id: &UserId) -> Option<RawJson> {
        self.count();
        let key = ("m.room.member".to_owned(), user_id.to_string());
        let event = self.rooms.get(room_id)?.state_at(self.views.get(room_id)?.newest).get(&key)?.client.clone();
        self.members.then_some(event)
    }

    fn account_data(&self, after: StreamPos) -> Vec<AccountData> {
        self.count();
        let global = self.account_data.iter().filter(|(at, room, _)| *at > after && room.is_none());
        global.map(|(_, _, data)| data.clone()).collect()
    }

    fn rooms_account_data(&self, after: StreamPos) -> Vec<(OwnedRoomId, AccountData)> {
        self.count();
        let data = self.account_data.iter().filter(|(at, ..)| *at > after);
        data.filter_map(|(_, room, data)| Some((room.clone()?, data.clone()))).collect()
    }

    fn room_account_data(&self, room_id: &RoomId) -> Vec<AccountData> {
        self.count();
        let data = self.account_data.iter().filter(|(_, room, _)| room.as_deref() == Some(room_id));
        data.map(|(_, _, data)| data.clone()).collect()
    }

    fn receipts(&self, after: StreamPos) -> Vec<(OwnedRoomId, Receipt)> {
        self.count();
        let receipts = self.receipts.iter().filter(|(at, ..)| *at > after);
        receipts.map(|(_, room, receipt)| (room.clone(), receipt.clone())).collect()
    }

    fn room_receipts(&self, room_id: &RoomId) -> Vec<Receipt> {
        self.count();
        self.receipts.iter().filter(|(_, room, _)| room == room_id).map(|(_, _, receipt)| receipt.clone()).collect()
    }

    fn thread_subscriptions(&self, after: StreamPos, limit: usize) -> Vec<ThreadSubscription> {
        self.count();
        self.threads.iter().rev().filter(|thread| thread.at > after).take(limit).cloned().collect()
    }

    fn sticky_position(&self) -> StreamPos {
        self.sticky.last().map(|event| event.at).unwrap_or_default()
    }

    fn sticky(&self, after: StreamPos, limit: usize) -> Vec<Sticky> {
        self.count();
        self.sticky.iter().filter(|event| event.at > after).take(limit).cloned().collect()
    }

    fn room_sticky(&self, room_id: &RoomId, after: StreamPos) -> Vec<Sticky> {
        self.count();
        self.sticky.iter().filter(|event| event.at > after && event.room_id == room_id).cloned().collect()
    }

    fn typing(&self, after: TypingPos) -> Vec<(OwnedRoomId, Vec<OwnedUserId>)> {
        self.count();
        let typing = self.typing.iter().filter(|(_, (at, _))| *at > after);
        typing.map(|(room, (_, users))| (room.clone(), users.clone())).collect()
    }

    fn typing_position(&self) -> TypingPos {
        self.typing.values().map(|(at, _)| *at).max().unwrap_or_default()
    }

    fn room_typing(&self, room_id: &RoomId) -> Vec<OwnedUserId> {
        self.count();
        self.typing.get(room_id).map(|(_, users)| users.clone()).unwrap_or_default()
    }

    fn presence(&self, after: PresencePos) -> Vec<(OwnedUserId, String)> {
        self.count();
        let changed = self.presence.iter().filter(|(_, (at, _))| *at > after);
        changed.map(|(user_id, (_, content))| (user_id.clone(), content.clone())).collect()
    }

    fn presence_position(&self) -> PresencePos {
        self.presence.values().map(|(at, _)| *at).max().unwrap_or_default()
    }

    fn to_device(&self, after: StreamPos, limit: usize) -> Vec<ToDeviceMessage> {
        self.count();
        self.to_device.iter().filter(|message| message.at > after).take(limit).cloned().collect()
    }

    fn device_lists(&self, after: StreamPos) -> DeviceListChanges {
        self.count();
        let users = |left: bool| {
            let changes = self.device_lists.iter().filter(|(at, _, gone)| *at > after && *gone == left);
            changes.map(|(_, user, _)| user.clone()).collect()
        };
        DeviceListChanges { changed: users(false), left: users(true) }
    }

    fn key_counts_at(&self) -> StreamPos {
        self.keys_at
    }

    fn has_keys(&self) -> bool {
        !self.keyless
    }

    fn key_counts(&self) -> KeyCounts {
        self.count();
        self.keys.clone()
    }
}

/// What the hub stores of a device's connection.
#[derive(Default)]
pub(crate) struct Device {
    row: Option<String>,
    rooms: String,
    parts: BTreeMap<u8, String>,
    bodies: BTreeMap<u8, RawJson>,
    pub(crate) rows_written: usize,
    /// How often the lines of rooms were read.
    pub(crate) rooms_read: Cell<usize>,
}

impl Parts for Device {
    fn rooms(&self) -> Option<String> {
        self.rooms_read.set(self.rooms_read.get() + 1);
        Some(self.rooms.clone())
    }

    fn part(&self, number: u8) -> Option<String> {
        self.parts.get(&number).cloned()
    }

    fn body(&self, place: u8) -> Option<RawJson> {
        self.bodies.get(&place).cloned()
    }
}

/// The result of one step.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) text: String,
    pub(crate) quiet: bool,
    pub(crate) owed: bool,
}

impl Step {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn pos(&self) -> String {
        self.json()["pos"].as_str().unwrap().to_owned()
    }

    pub(crate) fn room(&self, room: &str) -> Value {
        self.json()["rooms"][id(room).as_str()].clone()
    }
}

impl Device {
    /// One step, as the user's hub does it: nothing is kept in memory.
    pub(crate) fn step(
        &mut self,
        world: &World,
        shape: Shape,
        body: &Value,
        pos: Option<&str>,
    ) -> Result<Step, MatrixError> {
        let body = RawJson::from_value(body).unwrap();
        let request = Request::parse(&body, pos, shape, world.user_id())?;
        let stored = self.row.as_deref().map(|row| Connection::load(row).expect("a stored connection loads"));
        let conn = match Connection::begin(stored, self, &request, world.position(), <&DeviceId>::from("PHONE"))? {
            Begin::Replay(body) => return Ok(Step { text: body.text().to_owned(), quiet: false, owed: false }),
            Begin::Step(conn) => *conn,
        };
        let plan = plan(world, self, &conn, &request);
        let slices = world.load(&plan.asks(), |slices| plan.unmet(slices));
        let outcome = answer(world, self, conn, &request, plan, &slices);
        if let Some(save) = outcome.save {
            self.row = Some(save.conn.text());
            self.rooms = save.conn.rooms().to_owned();
            self.rows_written += 1 + save.parts.len();
            self.parts.extend(save.parts);
            for (place, body) in (0..).zip(save.bodies) {
                match body {
                    Body::Stay => {}
                    Body::Clear => drop(self.bodies.remove(&place)),
                    Body::Put(body) => drop(self.bodies.insert(place, body)),
                }
            }
        }
        Ok(Step { text: outcome.body.text().to_owned(), quiet: outcome.quiet, owed: outcome.owed })
    }

    /// The kept answers are lost.
    pub(crate) fn drop_bodies(&mut self) {
        self.bodies.clear();
    }

    /// A step that must succeed, in the unstable shape.
    pub(crate) fn sync(&mut self, world: &World, body: &Value, pos: Option<&str>) -> Step {
        self.step(world, Shape::Unstable, body, pos).expect("the step is answered")
    }
}

/// A request with one list over everything.
pub(crate) fn all_rooms(limit: u32, state: &[(&str, &str)]) -> Value {
    json!({"lists": {"all": {"ranges": [[0, 999]], "timeline_limit": limit, "required_state": state}}})
}

pub(crate) fn bodies(room: &Value) -> Vec<String> {
    let events = room["timeline"].as_array().cloned().unwrap_or_default();
    events
        .iter()
        .map(|event| event["content"]["body"].as_str().unwrap_or_else(|| event["type"].as_str().unwrap()).to_owned())
        .collect()
}

pub(crate) fn state_keys(room: &Value) -> Vec<String> {
    let events = room["required_state"].as_array().cloned().unwrap_or_default();
    let mut keys: Vec<_> = events
        .iter()
        .map(|event| format!("{}|{}", event["type"].as_str().unwrap(), event["state_key"].as_str().unwrap()))
        .collect();
    keys.sort();
    keys
}
