//! A long room, read from one end to the other while it goes on.

use std::collections::BTreeSet;

use futures::future::{join, join_all};
use ruma::OwnedEventId;
use tern_ports::wire::{
    frame,
    room::{MembershipAction, Messages, ReadMessages, Sent},
};

use super::scene::{ALICE, Scene, caller};

/// Messages before anybody reads.
const MESSAGES: usize = 50_000;

/// Sent at a time while the room fills.
const FILLING: usize = 100;

fn writers() -> Vec<String> {
    (0..10).map(|number| format!("@writer{number}:tern.test")).collect()
}

/// Every writer sends `each` messages at once.
async fn write(scene: &Scene, writers: &[String], round: usize, each: usize) -> Vec<OwnedEventId> {
    let send = |writer: &String, number: usize| {
        let command = Scene::command(writer, "a word", &format!("{round} {number}"));
        let actor = std::rc::Rc::clone(&scene.actor);
        async move {
            let sent: Sent = frame::read_reply(&actor.handle(command.into()).await).unwrap();
            sent.event_id
        }
    };
    let sends = writers.iter().flat_map(|writer| (0..each).map(move |number| (writer, number)));
    join_all(sends.map(|(writer, number)| send(writer, number))).await
}

async fn page(scene: &Scene, from: Option<String>, backwards: bool) -> Messages {
    let ask = ReadMessages {
        caller: caller(ALICE),
        from,
        to: None,
        backwards,
        limit: 100,
        filter: None,
        ignored: BTreeSet::new(),
    };
    frame::read_reply(&scene.actor.handle(ask.into()).await).unwrap()
}

/// The position in a token.
fn position(token: &str) -> usize {
    token.trim_start_matches('t').parse().unwrap()
}

/// The room with its messages, most of which only the storage worker has.
fn filled(writers: &[String]) -> (Scene, BTreeSet<OwnedEventId>) {
    let scene = Scene::new();
    for writer in writers {
        scene.act(writer, MembershipAction::Join, writer).unwrap();
    }
    let mut sent = BTreeSet::new();
    for round in 0..MESSAGES / FILLING {
        sent.extend(scene.host.run(write(&scene, writers, round, FILLING / writers.len())));
        scene.host.clock.advance(10_000);
        scene.calm();
    }
    assert_eq!(sent.len(), MESSAGES);
    (scene, sent)
}

#[test]
fn fifty_thousand_events_are_each_met_once_while_ten_write() {
    let writers = writers();
    let (scene, before) = filled(&writers);
    let mut round = MESSAGES;
    for backwards in [true, false] {
        let (mut met, mut from, mut newest) = (BTreeSet::new(), None, 0);
        loop {
            round += 1;
            let reading = page(&scene, from.clone(), backwards);
            let (read, _) = scene.host.run(join(reading, write(&scene, &writers, round, 1)));
            scene.host.clock.advance(10_000);
            scene.calm();
            let edge = if backwards { Some(&read.start) } else { read.end.as_ref() };
            newest = newest.max(edge.map_or(0, |token| position(token)));
            for event in &read.chunk {
                let event_id = serde_json::from_str::<Event>(event.text()).unwrap().event_id;
                assert!(met.insert(event_id.clone()), "{event_id} was met twice");
            }
            let Some(next) = read.end.filter(|_| backwards || read.chunk.len() == 100) else { break };
            assert_ne!(from.as_ref(), Some(&next), "paging moves");
            from = Some(next);
        }
        // Positions have no gaps, so that counting tells whether an event is missing.
        assert_eq!(met.len(), newest, "backwards: {backwards}");
        assert!(before.is_subset(&met), "backwards: {backwards}");
        assert!(met.len() > MESSAGES + writers.len());
    }
}

#[derive(serde::Deserialize)]
struct Event {
    event_id: OwnedEventId,
}
