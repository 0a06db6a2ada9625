//! What others say at length does not fill a hub: events that no longer fit are loaded, and none is lost.

use std::collections::BTreeMap;

use serde_json::json;
use tern_model::{Notice, RoomSeq};
use tern_ports::{ObjectHost as _, Sql as _};

use crate::support::{Hub, bob, bodies, notice, room, rooms_only, spoken};

const LENGTH: usize = 60_000;
const MIB: u64 = 1 << 20;

impl Hub {
    /// Bob says something of so many bytes, which storage has as well.
    fn hears_at_length(&self, name: &str, seq: u64, length: usize) {
        let said = vec![spoken(seq, bob(), &json!({ "padding": "x".repeat(length) }))];
        self.storage.learn(&room(name), &said);
        self.deliver(vec![Notice { forwarded: RoomSeq(seq - 1), ..notice(name, said) }]);
    }

    /// What is held of a room, or of all: events and their bytes.
    fn held(&self, name: &str) -> (u64, u64) {
        let sql = "SELECT count(*), coalesce(sum(length(CAST(client AS BLOB))), 0) FROM inbox WHERE room_id LIKE +?";
        let row = self.host.sql().query(sql, &[format!("!{name}:x").into()]).unwrap().remove(0);
        (row.int(0).unwrap(), row.int(1).unwrap())
    }
}

#[test]
fn a_room_in_which_much_is_said_at_length_takes_a_megabyte_and_loses_nothing() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let read = hub.unread(&session).main.0;
    let mut all = rooms_only();
    all["lists"]["all"]["timeline_limit"] = json!(99);
    let first = hub.sliding(&session, &all, None, false).unwrap().body();
    for seq in 2..=61 {
        hub.hears_at_length("r", seq, LENGTH);
        let (events, bytes) = hub.held("r");
        assert!(bytes <= MIB && events >= seq.min(8), "{events} events of {bytes} bytes");
    }
    assert_eq!(hub.unread(&session).main.0, read + 60, "counts are exact");
    let next = hub.sliding(&session, &all, first["pos"].as_str(), true).unwrap().body();
    let told = bodies(&next["rooms"]["!r:x"]["timeline"]);
    assert_eq!(told, (2..=61).map(|seq| format!("m{seq}")).collect::<Vec<_>>());
    hub.reads("m.read", None, 31, 1);
    assert_eq!(hub.unread(&session).main.0, 30, "what is not held is read as well");
    // What is short is held again when the long has gone.
    (62..=180).for_each(|seq| hub.hears_at_length("r", seq, 10));
    assert!(hub.held("r").0 >= 50);
}

#[test]
fn many_rooms_share_four_megabytes_and_none_goes_without() {
    let hub = Hub::new();
    let session = hub.login("D");
    let names: Vec<_> = (0..12).map(|number| format!("r{number}")).collect();
    names.iter().chain([&"quiet".to_owned()]).for_each(|name| hub.joins(name));
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    (2..=40).for_each(|seq| hub.hears_at_length("quiet", seq, 50));
    for seq in 2..=17 {
        for name in &names {
            hub.hears_at_length(name, seq, LENGTH);
        }
    }
    let (all, share) = (hub.held("%").1, 12 * (LENGTH as u64 + 1_000));
    assert!(all <= 4 * MIB + share, "{all} bytes");
    assert!(all >= 3 * MIB, "{all} bytes: what there is, is used");
    assert_eq!(hub.held("quiet").0, 40, "what others have is not taken from who has little");
    // What does not fit one answer is owed to the next.
    let (mut pos, mut told) = (first["pos"].clone(), BTreeMap::new());
    for _ in 0..6 {
        let next = hub.sliding(&session, &rooms_only(), pos.as_str(), false).unwrap().body();
        let rooms = next["rooms"].as_object().cloned().unwrap_or_default();
        told.extend(rooms.into_iter().map(|(room_id, room)| (room_id, bodies(&room["timeline"]))));
        pos = next["pos"].clone();
    }
    for name in names {
        let all = (2..=17).map(|seq| format!("m{seq}")).collect::<Vec<_>>();
        assert_eq!(told.get(&format!("!{name}:x")), Some(&all), "{name}");
    }
}

#[test]
fn what_an_earlier_build_holds_is_counted_at_the_next_event() {
    let hub = Hub::new();
    hub.login("D");
    hub.joins("r");
    for seq in 2..=17 {
        hub.hears_at_length("r", seq, LENGTH);
    }
    let grow = "UPDATE inbox SET client = json_set(client, '$.content.more', ?)";
    hub.host.sql().query(grow, &["y".repeat(LENGTH).into()]).unwrap();
    hub.host.sql().query("UPDATE room SET inbox_bytes = NULL", &[]).unwrap();
    let hub = hub.slept();
    assert!(hub.held("r").1 > MIB);
    hub.hears_at_length("r", 18, 10);
    assert!(hub.held("r").1 <= MIB / 2);
    let figure = hub.host.sql().query("SELECT inbox_bytes FROM room", &[]).unwrap()[0].int(0);
    assert_eq!(figure, Some(hub.held("r").1));
}
