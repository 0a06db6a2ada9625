//! Many short lives of a hub, drawn from seeds: notices that are lost, repeated or half repeated, answers that never
//! arrive, sleep, crashes before anything is durable, storage that lags. Every message is shown once, in order.

use serde_json::{Value, json};
use tern_model::{Notice, RoomSeq, StateAfter};
use tern_ports::wire::{
    UserCommand,
    user::{ClassicSync, Deliver, SessionRef, SlidingSync},
};
use tern_testkit::SeededEntropy;

use crate::support::{Hub, Step, bodies, message, notice, raw, room, step};

/// More than ever comes between two syncs.
const LIMIT: u32 = 100;
const ROOMS: [&str; 3] = ["a", "b", "c"];

fn rules() -> Value {
    json!({"lists": {"all": {"ranges": [[0, 99]], "timeline_limit": LIMIT, "required_state": []}}})
}

struct World {
    hub: Hub,
    session: SessionRef,
    draw: SeededEntropy,
    /// Newest message of each room, and the newest its hub has told.
    newest: [u64; 3],
    told: [u64; 3],
    pos: Option<String>,
    since: Option<String>,
    sliding: [Vec<String>; 3],
    classic: [Vec<String>; 3],
}

impl World {
    fn new(seed: u64) -> Self {
        let hub = Hub::new();
        let session = hub.login("D");
        for name in ROOMS {
            hub.joins(name);
        }
        let mut world = Self {
            hub,
            session,
            draw: SeededEntropy::new(seed),
            newest: [1; 3],
            told: [1; 3],
            pos: None,
            since: None,
            sliding: Default::default(),
            classic: Default::default(),
        };
        world.sync_sliding();
        world.sync_classic();
        world
    }

    fn step(&mut self) {
        match self.draw.below(12) {
            0..4 => self.say(),
            4 | 5 => drop(self.sync_sliding()),
            6 => drop(self.sync_classic()),
            7 => self.hub = self.hub.slept(),
            8 => self.lose(self.sliding_command().into()),
            9 => self.lose(self.classic_command().into()),
            10 => self.catch_up_storage(),
            _ => {
                // The answer is made and stored, but the client never gets it.
                self.hub.handle(self.sliding_command());
            }
        }
    }

    /// One to three messages; the notice may be lost, cut off by a crash, or overlap with what was told.
    fn say(&mut self) {
        let index = self.draw.below(3);
        let first = self.newest[index] + 1;
        self.newest[index] += self.draw.next_u64() % 3 + 1;
        self.hub.rooms.history(ROOMS[index], first, self.newest[index]);
        match self.draw.below(6) {
            0 => self.told[index] = self.newest[index],
            1 => self.lose(Deliver { notices: vec![self.notice(index, first)] }.into()),
            2 => self.tell(index, first.saturating_sub(2).max(2)),
            _ => self.tell(index, self.told[index] + 1),
        }
    }

    fn notice(&self, index: usize, from: u64) -> Notice {
        let events = (from..=self.newest[index]).map(|seq| message(seq, &format!("m{seq}"))).collect();
        let forwarded = RoomSeq(self.told[index].saturating_sub(self.newest[index] % 3));
        Notice { forwarded, ..notice(ROOMS[index], events) }
    }

    fn tell(&mut self, index: usize, from: u64) {
        let notice = self.notice(index, from);
        self.hub.deliver(vec![notice]);
        self.told[index] = self.newest[index];
    }

    fn catch_up_storage(&mut self) {
        let index = self.draw.below(3);
        self.hub.storage.history(ROOMS[index], 2, self.newest[index].saturating_sub(self.draw.next_u64() % 3));
    }

    /// The hub handles it and is gone before anything leaves.
    fn lose(&mut self, command: UserCommand) {
        self.hub.host.run(self.hub.actor.handle(command));
        self.hub = self.hub.crashed();
    }

    fn sliding_command(&self) -> SlidingSync {
        let body = raw(&rules());
        SlidingSync {
            session: self.session.clone(),
            body,
            pos: self.pos.clone(),
            stable: false,
            may_wait: true,
            presence: None,
        }
    }

    fn classic_command(&self) -> ClassicSync {
        ClassicSync {
            session: self.session.clone(),
            since: self.since.clone(),
            filter: Some(json!({"room": {"timeline": {"limit": LIMIT}}}).to_string()),
            full_state: false,
            state_after: Some(StateAfter::Stable),
            may_wait: true,
            presence: None,
            rooms_alone: false,
        }
    }

    /// False when there was nothing to say.
    fn sync_sliding(&mut self) -> bool {
        let Step::Answer(body) = self.hub.sliding(&self.session, &rules(), self.pos.as_deref(), true).unwrap() else {
            return false;
        };
        self.pos = body["pos"].as_str().map(str::to_owned);
        for (index, name) in ROOMS.iter().enumerate() {
            let answer = &body["rooms"][room(name).as_str()];
            assert_ne!(answer["limited"], true, "{answer}");
            self.sliding[index].extend(bodies(&answer["timeline"]));
        }
        true
    }

    fn sync_classic(&mut self) -> bool {
        let Step::Answer(body) = step(self.hub.handle(self.classic_command())).unwrap() else {
            return false;
        };
        self.since = body["next_batch"].as_str().map(str::to_owned);
        for (index, name) in ROOMS.iter().enumerate() {
            let timeline: &Value = &body["rooms"]["join"][room(name).as_str()]["timeline"];
            assert_ne!(timeline["limited"], true, "{timeline}");
            self.classic[index].extend(bodies(&timeline["events"]));
        }
        true
    }

    fn finish(mut self) {
        for (index, name) in ROOMS.into_iter().enumerate() {
            self.newest[index] += 1;
            self.hub.rooms.history(name, self.newest[index], self.newest[index]);
            self.tell(index, self.newest[index]);
        }
        // An answer that never arrived comes first.
        while self.sync_sliding() {}
        while self.sync_classic() {}
        for (index, name) in ROOMS.into_iter().enumerate() {
            let all: Vec<_> = (2..=self.newest[index]).map(|seq| format!("m{seq}")).collect();
            assert_eq!(self.sliding[index], all, "sliding sync of {name}");
            assert_eq!(self.classic[index], all, "classic sync of {name}");
        }
    }
}

#[test]
fn nothing_is_lost_and_nothing_shown_twice() {
    for seed in 0..100 {
        let lived = std::panic::catch_unwind(|| {
            let mut world = World::new(seed);
            (0..60).for_each(|_| world.step());
            world.finish();
        });
        assert!(lived.is_ok(), "seed {seed}");
    }
}
