//! What the alarm sees to: whatever becomes of one duty, the others are done, and it is tried again.

use serde_json::json;
use tern_model::Millis;
use tern_ports::{
    Clock as _, Sql as _,
    wire::{Done, RoomCommand, StorageCommand, user::WriteProfile},
};
use tern_testkit::network::{lost, reply};

use crate::support::{Hub, message, notice, raw, registered};

impl Hub {
    /// The database refuses what concerns this table, or does so no more.
    fn refuse(&self, table: &str, refused: bool) {
        let (from, to) = if refused { (table, "away") } else { ("away", table) };
        self.host.sqlite.query(&format!("ALTER TABLE {from} RENAME TO {to}"), &[]).unwrap();
    }

    fn pass(&self, ms: u64) {
        self.host.clock.advance(ms);
        self.ring();
    }

    fn holds(&self, table: &str) -> bool {
        !self.host.sqlite.query(&format!("SELECT 1 FROM {table}"), &[]).unwrap().is_empty()
    }

    /// Rooms and the storage worker can be reached, or cannot.
    fn connected(&self, connected: bool) {
        let (rooms, storage) = (self.rooms.clone(), self.storage.clone());
        self.routes.rooms(move |_, command| match command {
            _ if !connected => lost(),
            RoomCommand::ReadSlice(command) => reply(rooms.slice(&command.ask)),
            RoomCommand::SetMemberProfile(_) => reply(Done {}),
            other => panic!("{other:?}"),
        });
        self.routes.storage(move |command| match command {
            _ if !connected => lost(),
            StorageCommand::LoadUser(_) => reply(Some(registered())),
            StorageCommand::SyncRooms(command) => {
                reply(command.rooms.iter().map(|ask| storage.slice(ask)).collect::<Vec<_>>())
            }
            _ => reply(Done {}),
        });
    }
}

/// A new name that no room has heard of, and messages that were missed and cannot be fetched.
fn with_two_duties() -> Hub {
    let hub = Hub::new();
    let session = hub.login("PHONE");
    hub.joins("r");
    hub.connected(false);
    let value = Some(raw(&json!("Ali")));
    hub.ask(WriteProfile { session: Some(session), field: "displayname".to_owned(), value }).unwrap();
    hub.rooms.history("r", 2, 9);
    hub.deliver(vec![notice("r", vec![message(10, "m10")])]);
    hub.host.settle();
    assert!(hub.holds("propagation") && hub.holds("missed"));
    hub
}

#[test]
fn a_duty_that_cannot_be_done_is_nothing_to_the_others_and_is_tried_again() {
    for (broken, other) in [("propagation", "missed"), ("missed", "propagation")] {
        let hub = with_two_duties();
        hub.connected(true);
        hub.refuse(broken, true);
        hub.pass(600_000);
        assert!(!hub.holds(other), "{other} waits for {broken}");
        hub.refuse(broken, false);
        assert!(hub.holds(broken));
        // Nobody asks anything of the hub: the alarm alone has to come again.
        hub.pass(600_000);
        assert!(!hub.holds(broken), "{broken} was given up");
    }
}

#[test]
fn what_fails_is_tried_later_each_time_while_others_keep_their_own_time() {
    let hub = with_two_duties();
    let begun = hub.host.clock.now();
    let mut tries = Vec::new();
    hub.routes.take_sent();
    while hub.host.clock.now() < begun.plus(1_200_000) {
        hub.pass(1_000);
        let asked = hub.routes.sent_to_rooms().iter().any(|(_, command)| matches!(command, RoomCommand::ReadSlice(_)));
        if asked {
            tries.push(hub.host.clock.now());
        }
        hub.routes.take_sent();
    }
    let pauses: Vec<u64> = tries.windows(2).map(|pair| pair[1].since(pair[0]) / 1_000).collect();
    assert!(pauses.is_sorted() && pauses.len() < 10, "{pauses:?}");
    assert!(pauses.last().is_some_and(|pause| *pause > 200), "{pauses:?}");
    hub.connected(true);
    hub.pass(600_000);
    assert!(!hub.holds("missed") && !hub.holds("propagation"));
    assert!(hub.host.clock.now() > Millis(0));
}
