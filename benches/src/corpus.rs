//! Rooms and accounts to measure on. The same numbers always give the same corpus, byte for byte.

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, OwnedUserId, RoomId, UserId, events::StateEventType};
use serde_json::json;
use tern_edge::create::create_room;
use tern_model::{Config, Pdu, RawJson};
use tern_ports::{
    ask_room,
    wire::room::{CreateRoom, Draft},
};
use tern_room::{CreateRoomRequest, Extremity, Plan, RoomView, Signer, Unreadable, Version, build::propose, plan};
use tern_testkit::TestClock;

use crate::{
    Cluster, Phone,
    cluster::LISTENER,
    phone::{Synced, raw, sync_request},
};

/// Sizes of rooms.
pub const MEMBERS: [usize; 3] = [2, 200, 20_000];
/// Sizes of accounts.
pub const ROOMS: [usize; 2] = [10, 1_000];
/// The window with which a client starts.
pub const WINDOW: usize = 20;
/// A text of an ordinary length.
pub const TEXT: &str = "The terns are back: forty of them on the sandbank this morning, and the first eggs.";

/// Up to this many members every one has a hub of their own.
const MOST_HUBS: usize = 1_000;
/// Messages in the rooms of the window, and in all others.
const MESSAGES: (usize, usize) = (30, 3);

/// A public room in which somebody writes and somebody reads.
pub struct Room {
    /// Where it is.
    pub cluster: Cluster,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// Its creator.
    pub sender: Phone,
    /// The member who joined last.
    pub reader: Phone,
}

impl Room {
    /// A room with this many members. Beyond a thousand, all but the two are listeners without a hub.
    pub fn new(members: usize) -> Self {
        let cluster = Cluster::default();
        let sender = Phone::sign_in(&cluster, "sender");
        let reader = Phone::sign_in(&cluster, "reader");
        let plan = planned(cluster.config(), &sender.user_id);
        let room_id = plan.room_id.clone();
        let others = members.saturating_sub(2);
        if members > MOST_HUBS {
            cluster.found(&room_id, creation(plan, &users(LISTENER, others)));
        } else {
            let create = ask_room(&cluster, &room_id, creation(plan, &users("member", others)));
            cluster.run(create).expect("the room is made");
        }
        cluster.run(reader.join(&room_id));
        cluster.quiesce();
        let room = Self { cluster, room_id, sender, reader };
        room.say();
        room.cluster.quiesce();
        room
    }

    /// All that earlier requests have started is done, and a minute has passed, so that old messages go in time.
    pub fn rest(&self) {
        self.cluster.quiesce();
        self.cluster.pass(60_000);
    }

    /// Nobody has been there for longer than a hub waits for the next poll, and everybody who was is told so.
    pub fn pass_away(&self) {
        self.rest();
        self.rest();
        self.say();
        self.rest();
    }

    /// The sender writes; what follows from it is left undone.
    pub fn say(&self) -> ruma::OwnedEventId {
        self.sender.is_online();
        self.cluster.run(self.sender.send(&self.room_id, TEXT))
    }
}

/// An account whose rooms a friend has made and filled.
pub struct Account {
    /// Where it is.
    pub cluster: Cluster,
    /// Its device.
    pub owner: Phone,
    /// The other member of all rooms.
    pub friend: Phone,
    /// Its rooms, the most recently active one last.
    pub rooms: Vec<OwnedRoomId>,
}

impl Account {
    /// An account with this many rooms.
    pub fn new(rooms: usize) -> Self {
        let cluster = Cluster::default();
        let owner = Phone::sign_in(&cluster, "owner");
        let friend = Phone::sign_in(&cluster, "friend");
        let mut account = Self { cluster, owner, friend, rooms: Vec::with_capacity(rooms) };
        for number in 0..rooms {
            account.add_room(number);
        }
        for position in 0..rooms {
            let recent = rooms - position <= WINDOW;
            account.fill(position, if recent { MESSAGES.0 } else { MESSAGES.1 });
        }
        account.cluster.quiesce();
        account.cluster.run(account.owner.check_in());
        account
    }

    fn add_room(&mut self, number: usize) {
        let request = json!({
            "preset": "public_chat",
            "name": format!("Sandbank {number}"),
            "topic": "What is to be seen there, and when to go",
        });
        let request: CreateRoomRequest = serde_json::from_value(request).expect("the request is valid");
        let made = create_room(&self.cluster, self.cluster.config(), &self.friend.user_id, &request);
        let room_id = self.cluster.run(made).expect("the room is made");
        self.cluster.run(self.owner.join(&room_id));
        self.cluster.settle();
        self.rooms.push(room_id);
    }

    fn fill(&self, position: usize, messages: usize) {
        for number in 0..messages {
            self.cluster.pass(1_000);
            self.write_in(position, &format!("{number}: {TEXT}"));
        }
    }

    fn write_in(&self, position: usize, text: &str) {
        let room_id = self.rooms.get(position).expect("there are so many rooms");
        self.friend.is_online();
        self.cluster.run(self.friend.send(room_id, text));
        self.cluster.settle();
    }

    /// The friend writes in the room that was active last, and everything that follows happens.
    pub fn write(&self) {
        self.write_in(self.rooms.len() - 1, TEXT);
    }

    /// The owner's first sync of a connection.
    pub fn first_sync(&self, window: usize, timeline_limit: u64) -> Synced {
        self.cluster.run(self.owner.sync(&sync_request(window, timeline_limit), None, 0))
    }

    /// The owner has synced all rooms and knows everything: the request, and the position.
    pub fn caught_up(&self) -> (RawJson, String) {
        let request = sync_request(self.rooms.len(), 1);
        let mut pos = None;
        loop {
            let answer = self.cluster.run(self.owner.sync(&request, pos.as_deref(), 0));
            let next = answer.pos();
            if pos.as_ref() == Some(&next) {
                return (request, next);
            }
            pos = Some(next);
        }
    }

    /// What is unread in the room that was active last, by a connection of its own.
    ///
    /// # Panics
    /// When the room is not told of.
    pub fn unread(&self) -> u64 {
        let request =
            raw(&json!({ "conn_id": "unread", "lists": { "all": { "ranges": [[0, 0]], "timeline_limit": 1 } } }));
        self.cluster.run(self.owner.sync(&request, None, 0)).unread().expect("the room is told of")
    }

    /// The connection at `pos` lives through two messages: the position after them, with nothing left to do.
    ///
    /// # Panics
    /// When a message is not in the answer after it.
    pub fn live(&self, request: &RawJson, pos: &str) -> String {
        let mut pos = pos.to_owned();
        for _ in 0..2 {
            self.write();
            let answer = self.cluster.run(self.owner.sync(request, Some(&pos), 0));
            assert_eq!((answer.rooms(), answer.events()), (1, 1), "the message is there");
            pos = answer.pos();
        }
        self.cluster.quiesce();
        self.cluster.run(self.owner.check_in());
        pos
    }
}

/// A room's current state in memory, for the rules alone.
pub struct Hall {
    room_id: OwnedRoomId,
    version: &'static Version,
    state: BTreeMap<String, BTreeMap<String, Pdu>>,
    newest: Extremity,
    /// This server's key.
    pub signer: Signer,
    /// A member of no special power.
    pub member: OwnedUserId,
    /// Who made the room.
    pub(crate) creator: OwnedUserId,
    /// The other members.
    pub(crate) members: Vec<OwnedUserId>,
    /// Its events, oldest first.
    pub(crate) events: Vec<Pdu>,
}

impl Hall {
    /// The state of a room with this many members.
    pub fn new(config: &Config, members: usize) -> Self {
        let creator = UserId::parse(format!("@sender:{}", config.server_name)).expect("the name is valid");
        let others = users("member", members.saturating_sub(1));
        let plan = planned(config, &creator);
        let mut hall = Self {
            room_id: plan.room_id.clone(),
            version: plan.version,
            state: BTreeMap::new(),
            newest: Extremity { event_id: plan.create.id().to_owned(), depth: 1 },
            signer: signer(config),
            member: others.last().expect("there is another member").clone(),
            creator,
            members: others.clone(),
            events: Vec::new(),
        };
        hall.take(plan.create.clone());
        for draft in plan.drafts.into_iter().chain(others.iter().map(join)) {
            let pdu = propose(&hall, &draft, TestClock::START, &hall.signer).expect("the event is allowed");
            hall.take(pdu);
        }
        hall
    }

    /// A message of the member, as a draft.
    pub fn message(&self) -> tern_room::Draft {
        let content = raw(&json!({ "msgtype": "m.text", "body": TEXT }));
        tern_room::Draft::new(self.member.clone(), "m.room.message".to_owned(), None, content, None)
    }

    /// The current state event of a type, with an empty state key.
    pub(crate) fn now(&self, kind: &str) -> Option<&Pdu> {
        self.state.get(kind)?.get("")
    }

    /// Goes on with an event that is allowed.
    pub(crate) fn take(&mut self, pdu: Pdu) {
        self.events.push(pdu.clone());
        self.newest = Extremity { event_id: pdu.id().to_owned(), depth: pdu.depth() };
        let Some(state_key) = pdu.key() else { return };
        self.state.entry(pdu.kind().to_string()).or_default().insert(state_key.to_owned(), pdu);
    }
}

impl RoomView for Hall {
    fn room_id(&self) -> &RoomId {
        &self.room_id
    }

    fn version(&self) -> &'static Version {
        self.version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        Ok(self.state.get(&kind.to_string()).and_then(|events| events.get(state_key)).cloned())
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        Ok(vec![self.newest.clone()])
    }

    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        let members = self.state.get("m.room.member").into_iter().flat_map(BTreeMap::values);
        Ok(members.take(limit).map(|member| member.from().to_owned()).collect())
    }
}

fn users(name: &str, count: usize) -> Vec<OwnedUserId> {
    let user = |number| UserId::parse(format!("@{name}{number:05}:tern.test")).expect("the name is valid");
    (0..count).map(user).collect()
}

fn signer(config: &Config) -> Signer {
    Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key).expect("the key is good")
}

fn planned(config: &Config, creator: &UserId) -> Plan {
    let request = json!({ "preset": "public_chat", "name": "Sandbank", "topic": "What is to be seen there" });
    let request: CreateRoomRequest = serde_json::from_value(request).expect("the request is valid");
    let plan = plan(&request, creator, &BTreeMap::new(), [9; 18], TestClock::START, &signer(config));
    plan.expect("the room can be planned")
}

fn creation(plan: Plan, others: &[OwnedUserId]) -> CreateRoom {
    let drafts = plan.drafts.into_iter().chain(others.iter().map(join)).map(|draft| Draft {
        sender: draft.sender,
        kind: draft.kind,
        state_key: draft.state_key,
        content: draft.content,
        redacts: draft.redacts,
    });
    let create = plan.create.raw().clone();
    CreateRoom { version: plan.version.id.to_owned(), create, drafts: drafts.collect() }
}

fn join(user_id: &OwnedUserId) -> tern_room::Draft {
    let content = raw(&json!({ "membership": "join", "displayname": user_id.localpart() }));
    tern_room::Draft::state(user_id.clone(), "m.room.member", user_id.as_str(), content)
}
