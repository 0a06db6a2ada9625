//! What a pusher is sent next: in order while all goes well, the newest of each room after an outage.

#![expect(clippy::unwrap_used, reason = "tests")]

use ruma::RoomId;
use tern_model::{Millis, RoomSeq, StreamPos};
use tern_push::queue::{Choice, Next, Outcome, Pending, Progress, next};

const SOME_SPREAD: u16 = u16::MAX / 2;

fn event(room: &str, pos: u64, highlight: bool) -> Pending {
    let room_id = RoomId::parse(format!("!{room}:x")).unwrap();
    Pending { room_id, place: (StreamPos(pos), RoomSeq(pos)), highlight, ts: Millis(1_000) }
}

fn chosen(progress: &Progress, pending: &[Pending], now: u64) -> Option<Choice> {
    match next(progress, pending, Millis(now)) {
        Next::Send(choice) => Some(choice),
        Next::Nothing | Next::At(_) => None,
    }
}

/// Everything that is sent while every request ends like this, by position.
fn sent(mut progress: Progress, pending: &[Pending], now: u64) -> Vec<u64> {
    let mut sent = Vec::new();
    while let Some(choice) = chosen(&progress, pending, now) {
        sent.push(choice.place.0.0);
        progress = progress.after(&choice, Outcome::Delivered, Millis(now), SOME_SPREAD);
    }
    sent
}

/// A pusher whose gateway failed at the first of these.
fn failed(pending: &[Pending]) -> Progress {
    let progress = Progress::default();
    let choice = chosen(&progress, pending, 2_000).unwrap();
    progress.after(&choice, Outcome::Failed(None), Millis(2_000), SOME_SPREAD)
}

#[test]
fn while_all_goes_well_each_event_is_sent_in_order() {
    let pending: Vec<_> = (1..=30).map(|pos| event("a", pos, false)).collect();
    assert_eq!(sent(Progress::default(), &pending, 2_000), (1..=30).collect::<Vec<_>>());
    assert_eq!(sent(Progress::after_all(StreamPos(28)), &pending, 2_000), [29, 30]);
    assert_eq!(next(&Progress::after_all(StreamPos(30)), &pending, Millis(2_000)), Next::Nothing);
}

#[test]
fn much_at_once_is_sent_as_after_an_outage() {
    let pending: Vec<_> = (1..=31).map(|pos| event("a", pos, false)).collect();
    assert_eq!(sent(Progress::default(), &pending, 2_000), [31]);
}

#[test]
fn of_an_outage_the_newest_of_each_room_is_sent_and_a_highlight_before_it() {
    let rooms = [("a", 1, false), ("b", 2, true), ("a", 3, false), ("c", 4, false), ("b", 5, false), ("b", 6, false)];
    let pending: Vec<_> = rooms.map(|(room, pos, highlight)| event(room, pos, highlight)).into();
    assert_eq!(sent(failed(&pending), &pending, 100_000), [3, 4, 2]);
    let many: Vec<_> = (1..=25).map(|pos| event(&format!("r{pos}"), pos, false)).collect();
    assert_eq!(sent(failed(&many), &many, 100_000), (6..=25).collect::<Vec<_>>(), "of no more than twenty rooms");
}

#[test]
fn what_is_a_day_old_after_an_outage_is_not_sent() {
    let old = event("a", 1, true);
    let young = Pending { ts: Millis(80_000_000), ..event("b", 2, false) };
    let pending = [old, young];
    assert_eq!(sent(failed(&pending), &pending, 100_000_000), [2]);
    assert_eq!(next(&failed(&pending), &pending, Millis(900_000_000)), Next::Nothing);
}

#[test]
fn pauses_grow_and_the_gateway_may_ask_for_longer_ones() {
    let pending = [event("a", 1, false)];
    let mut progress = Progress::default();
    let mut now = 10_000;
    let mut pauses = Vec::new();
    for _ in 0..9 {
        let choice = chosen(&progress, &pending, now).unwrap();
        progress = progress.after(&choice, Outcome::Failed(None), Millis(now), SOME_SPREAD);
        let at = progress.outage.unwrap().next_at;
        assert_eq!(next(&progress, &pending, Millis(now)), Next::At(at), "a new event does not change it");
        pauses.push(at.since(Millis(now)) / 1_000);
        now = at.0;
    }
    assert!(
        pauses.iter().zip([5, 15, 45, 135, 405, 1_215, 3_600, 3_600, 3_600]).all(|(is, about)| is.abs_diff(about) <= 1)
    );
    let choice = chosen(&progress, &pending, now).unwrap();
    let pause = |outcome| progress.after(&choice, outcome, Millis(now), 0).outage.unwrap().next_at.since(Millis(now));
    assert_eq!(pause(Outcome::Failed(Some(3_500_000))), 3_500_000);
    assert_eq!(pause(Outcome::Failed(Some(u64::MAX))), 3_600_000);
    let first = |outcome| Progress::default().after(&choice, outcome, Millis(0), 0).outage.unwrap().next_at.0;
    assert_eq!((first(Outcome::Failed(None)), first(Outcome::Silent)), (4_000, 60_000));
}

#[test]
fn a_week_of_failures_makes_it_one_try_a_day() {
    let progress = failed(&[event("a", 1, false)]);
    let now = Millis(8 * 86_400_000);
    let choice = chosen(&Progress::default(), &[event("a", 1, false)], 2_000).unwrap();
    let pause = progress.after(&choice, Outcome::Failed(None), now, SOME_SPREAD).outage.unwrap().next_at.since(now);
    assert!(pause > 80_000_000);
}

#[test]
fn what_the_gateway_refuses_is_skipped() {
    let pending = [event("a", 1, false), event("a", 2, false)];
    let choice = chosen(&Progress::default(), &pending, 2_000).unwrap();
    let progress = Progress::default().after(&choice, Outcome::Refused, Millis(2_000), 0);
    assert_eq!(progress.outage, None);
    assert_eq!(sent(progress, &pending, 2_000), [2]);
}
