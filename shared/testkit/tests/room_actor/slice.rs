//! Slices for sync answers.

use ruma::UserId;
use tern_model::{RoomSeq, StoredEvent};
use tern_ports::{
    ask_storage,
    wire::RoomCommand,
    wire::room::{ReadJoinedMembers, ReadSlice},
    wire::storage::SyncRooms,
    wire::sync::SyncAsk,
};

use super::scene::{ALICE, BOB, CAROL, Scene, user};

#[test]
fn a_slice_is_what_storage_would_say() {
    let scene = Scene::with_trimmed_tail();
    let newest = scene.probe().newest;
    let ask = |after: Option<u64>, until: Option<u64>, limit: u32| SyncAsk {
        room_id: scene.room_id.clone(),
        user_id: user(BOB),
        after: after.map(RoomSeq),
        until: until.map(RoomSeq),
        limit,
        state: vec![("m.room.name".to_owned(), String::new()), ("m.room.member".to_owned(), ALICE.to_owned())],
        lazy: true,
        members: Vec::new(),
        replaced: false,
    };
    let asks = [
        ask(None, None, 10),
        ask(None, None, 300),
        ask(None, None, 1_000),
        ask(Some(newest.0 - 5), None, 20),
        ask(Some(newest.0 - 5), None, 2),
        ask(Some(newest.0), None, 20),
        ask(None, Some(20), 5),
        ask(None, Some(newest.0 - 3), 5),
        ask(None, None, 0),
    ];
    for ask in asks {
        let here = scene.ask(ReadSlice { ask: ask.clone() }).unwrap();
        let rooms = SyncRooms { rooms: vec![ask.clone()] };
        let there = scene.host.run(ask_storage(&*scene.host, rooms)).unwrap().remove(0);
        assert!(here.summary.is_some());
        assert_eq!(here.through, there.through);
        let most = here.timeline.len().min(there.timeline.len());
        assert!(most == ask.limit as usize || most == there.timeline.len() || ask.limit > 500, "{ask:?}");
        let tail = |events: &[StoredEvent]| events[events.len() - most..].to_vec();
        assert_eq!(tail(&here.timeline), tail(&there.timeline), "{ask:?}");
        if ask.limit <= 500 {
            assert_eq!((here.limited, &here.state), (there.limited, &there.state), "{ask:?}");
        }
    }
    let stranger = SyncAsk { user_id: user(CAROL), ..ask(None, None, 1) };
    assert_eq!(scene.ask(ReadSlice { ask: stranger }).unwrap_err().status, 403);
    scene.around.storage_out.set(true);
    let short = scene.ask(ReadSlice { ask: ask(None, None, 400) }).unwrap();
    assert!(short.limited && short.timeline.len() >= 200);
}

#[test]
fn commands_of_every_kind_are_answered_with_a_frame() {
    let scene = Scene::new();
    let command: RoomCommand = ReadJoinedMembers { caller: UserId::parse(ALICE).unwrap() }.into();
    assert_eq!(command.name(), "ReadJoinedMembers");
    let reply = scene.host.run(scene.actor.handle(command));
    assert!(reply.starts_with(b"1\n{\"Ok\""));
}
