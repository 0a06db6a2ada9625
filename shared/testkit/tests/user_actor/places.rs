//! Tokens of both syncs as places in rooms.

use tern_edge::places::stream_position;
use tern_model::{MatrixError, Notice, RoomSeq, StreamPos};
use tern_ports::wire::{
    places::{FindPlaces, Place},
    user::{ForgetRoom, SessionRef},
};

use crate::support::{Hub, alice, member, message, notice, room, rooms_only};

fn places(hub: &Hub, session: &SessionRef, name: &str, at: &[StreamPos]) -> Result<Vec<Place>, MatrixError> {
    hub.ask(FindPlaces { session: session.clone(), room_id: room(name), at: at.to_vec() })
}

fn place(hub: &Hub, session: &SessionRef, name: &str, at: StreamPos) -> Place {
    places(hub, session, name, &[at]).unwrap()[0]
}

fn exactly(seq: u64) -> Place {
    Place { earliest: RoomSeq(seq), latest: Some(RoomSeq(seq)) }
}

/// Where both syncs of a device are now.
fn tokens(hub: &Hub, session: &SessionRef, pos: &mut Option<String>) -> [StreamPos; 2] {
    let sliding = hub.sliding(session, &rooms_only(), pos.as_deref(), false).unwrap().body();
    *pos = sliding["pos"].as_str().map(str::to_owned);
    let classic = hub.classic(session, None, false).unwrap().body();
    [sliding["pos"].as_str(), classic["next_batch"].as_str()].map(|token| stream_position(token.unwrap()).unwrap())
}

/// The room says something that is stored at once.
fn says(hub: &Hub, name: &str, seq: u64) {
    hub.deliver(vec![Notice { forwarded: RoomSeq(seq - 1), ..notice(name, vec![message(seq, "x")]) }]);
}

#[test]
fn a_token_of_either_sync_stays_a_place_in_each_room_however_much_follows() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("busy");
    hub.joins("still");
    let (mut pos, mut known) = (None, Vec::new());
    let mut still = 1;
    for seq in 2..=700 {
        says(&hub, "busy", seq);
        if seq % 97 == 0 {
            still += 1;
            says(&hub, "still", still);
        }
        if seq % 7 == 0 {
            known.push((tokens(&hub, &session, &mut pos), seq, still));
        }
    }
    let hub = hub.slept();
    for (tokens, busy, still) in known {
        for at in tokens {
            assert_eq!(place(&hub, &session, "busy", at), exactly(busy), "{at:?}");
            assert_eq!(place(&hub, &session, "still", at), exactly(still), "{at:?}");
        }
    }
}

#[test]
fn many_answers_at_one_position_are_told_apart_and_are_one_place() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let (mut pos, mut known) = (None::<String>, Vec::new());
    for last in 0..10 {
        let mut body = rooms_only();
        body["lists"]["all"]["ranges"] = serde_json::json!([[0, last]]);
        body["lists"]["all"]["timeline_limit"] = (last + 1).into();
        let answer = hub.sliding(&session, &body, pos.as_deref(), false).unwrap().body();
        pos = answer["pos"].as_str().map(str::to_owned);
        known.push(stream_position(pos.as_deref().unwrap()).unwrap());
    }
    says(&hub, "r", 2);
    assert!(known.iter().all(|at| place(&hub, &session, "r", *at) == exactly(1)), "{known:?}");
}

#[test]
fn what_came_as_one_notice_or_over_a_gap_is_told_as_one_place() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let mut pos = None;
    let before = tokens(&hub, &session, &mut pos);
    hub.deliver(vec![notice("r", (2..=5).map(|seq| message(seq, "x")).collect())]);
    let burst = tokens(&hub, &session, &mut pos);
    hub.rooms.history("r", 6, 399);
    hub.storage.history("r", 1, 400);
    hub.deliver(vec![Notice { forwarded: RoomSeq(399), ..notice("r", vec![message(400, "x")]) }]);
    hub.host.settle();
    let after = tokens(&hub, &session, &mut pos);
    (401..600).for_each(|seq| says(&hub, "r", seq));
    for (tokens, seq) in [(before, 1), (burst, 5), (after, 400)] {
        for at in &tokens {
            assert_eq!(place(&hub, &session, "r", *at), exactly(seq));
        }
    }
}

#[test]
fn before_the_user_came_the_place_is_between_the_start_and_the_join() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("first");
    let at = hub.classic(&session, None, false).unwrap().body();
    let at = stream_position(at["next_batch"].as_str().unwrap()).unwrap();
    let join = Notice { membership: Some("join".to_owned()), ..notice("later", vec![member(40, alice(), "join")]) };
    hub.deliver(vec![join]);
    assert_eq!(place(&hub, &session, "later", at), Place { earliest: RoomSeq(0), latest: Some(RoomSeq(39)) });
    assert_eq!(place(&hub, &session, "never", at), Place { earliest: RoomSeq(0), latest: None });
}

#[test]
fn tokens_of_the_future_are_now_and_ended_sessions_learn_nothing() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    says(&hub, "r", 2);
    assert_eq!(place(&hub, &session, "r", StreamPos(u64::MAX)), exactly(2));
    let ended = SessionRef { session_id: "none".to_owned(), ..session };
    assert_eq!(places(&hub, &ended, "r", &[StreamPos(1)]).unwrap_err().errcode, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_room_that_was_left_keeps_its_places_and_a_forgotten_one_loses_them() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let at = hub.classic(&session, None, false).unwrap().body();
    let at = stream_position(at["next_batch"].as_str().unwrap()).unwrap();
    (2..=200).for_each(|seq| says(&hub, "r", seq));
    let left = Notice { membership: Some("leave".to_owned()), ..notice("r", vec![member(201, alice(), "leave")]) };
    hub.deliver(vec![left]);
    assert_eq!(place(&hub, &session, "r", at), exactly(1));
    hub.ask(ForgetRoom { session: session.clone(), room_id: room("r") }).unwrap();
    // All that is kept of it is the leave.
    assert_eq!(place(&hub, &session, "r", at), Place { earliest: RoomSeq(0), latest: Some(RoomSeq(200)) });
}

#[test]
fn keeping_places_costs_one_row_for_some_twenty_messages_and_syncs_none() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    (2..=120).for_each(|seq| says(&hub, "r", seq));
    let rows: u64 = (121..=640).map(|seq| hub.rows(|| says(&hub, "r", seq)).1).sum();
    // The event; with every trim the room, a pack of unread marks and a row of places.
    assert!(rows <= 520 + 520 / 20 * 3, "{rows} rows for 520 messages");
    let first = hub.classic(&session, None, false).unwrap().body();
    let (_, rows) = hub.rows(|| hub.classic(&session, first["next_batch"].as_str(), false).unwrap());
    assert_eq!(rows, 0);
}
