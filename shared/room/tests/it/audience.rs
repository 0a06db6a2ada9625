use serde_json::json;
use tern_model::{RoomSeq, StoredEvent};
use tern_room::{Audience, VisibleRange};

use crate::support::{ALICE, BOB, CAROL, member_event, raw, user};

fn filler(seq: u64) -> StoredEvent {
    StoredEvent {
        kind: "m.room.message".to_owned(),
        state_key: None,
        pdu: raw(&json!({ "content": {} })),
        ..member_event(seq, &user(ALICE), None, "join")
    }
}

/// Events 10 to 20, of which some are BOB's member events: position, membership before and after.
fn audience(changes: &[(u64, Option<&str>, &str)]) -> Audience {
    let event = |seq| match changes.iter().find(|(at, ..)| *at == seq) {
        Some((_, before, after)) => member_event(seq, &user(BOB), *before, after),
        None => filler(seq),
    };
    Audience::of(&(10..=20).map(event).collect::<Vec<_>>())
}

fn visible(first: u64, last: u64, membership: Option<&str>) -> VisibleRange {
    VisibleRange { first: RoomSeq(first), last: RoomSeq(last), membership: membership.map(str::to_owned) }
}

fn bob(changes: &[(u64, Option<&str>, &str)]) -> Option<VisibleRange> {
    let audience = audience(changes);
    let changed = audience.changed().find(|(user_id, _)| *user_id == BOB);
    changed.map(|(_, visible)| visible.clone())
}

#[test]
fn members_get_all_of_it() {
    let audience = audience(&[]);
    assert_eq!(audience.joined(&user(CAROL), RoomSeq(3)), Some(visible(10, 20, None)));
    assert_eq!(audience.changed().count(), 0);
    assert_eq!(Audience::of(&[]).joined(&user(CAROL), RoomSeq(3)), None);
}

#[test]
fn a_member_of_later_is_told_later() {
    assert_eq!(audience(&[]).joined(&user(CAROL), RoomSeq(21)), None);
}

#[test]
fn who_joins_gets_the_rest() {
    let joined = visible(14, 20, Some("join"));
    assert_eq!(bob(&[(14, None, "join")]), Some(joined.clone()));
    assert_eq!(bob(&[(14, Some("invite"), "join")]), Some(joined.clone()));
    assert_eq!(bob(&[(12, None, "invite"), (14, Some("invite"), "join")]), Some(joined.clone()));
    assert_eq!(audience(&[(14, None, "join")]).joined(&user(BOB), RoomSeq(14)), Some(joined));
}

#[test]
fn who_leaves_gets_it_up_to_there() {
    for after in ["leave", "ban"] {
        assert_eq!(bob(&[(14, Some("join"), after)]), Some(visible(10, 14, Some(after))));
        assert_eq!(bob(&[(12, None, "join"), (14, Some("join"), after)]), Some(visible(12, 14, Some(after))));
    }
}

#[test]
fn who_comes_back_gets_the_last_run() {
    let back = [(12, Some("join"), "leave"), (16, Some("leave"), "join")];
    assert_eq!(bob(&back), Some(visible(16, 20, Some("join"))));
    let banned = [(12, Some("join"), "leave"), (16, Some("leave"), "ban")];
    assert_eq!(bob(&banned), Some(visible(16, 16, Some("ban"))));
}

#[test]
fn outsiders_get_their_own_event_only() {
    for (before, after, stripped) in [
        (None, "invite", true),
        (None, "knock", true),
        (Some("knock"), "invite", true),
        (Some("invite"), "invite", true),
        (Some("invite"), "leave", false),
        (Some("knock"), "leave", false),
        (None, "ban", false),
        (Some("ban"), "leave", false),
    ] {
        let told = bob(&[(14, before, after)]).unwrap();
        assert_eq!(told, visible(14, 14, Some(after)), "{before:?} {after}");
        assert_eq!(told.stripped(), stripped);
        assert!(told.covers(RoomSeq(14)) && !told.covers(RoomSeq(13)) && !told.covers(RoomSeq(15)));
    }
}

#[test]
fn a_new_profile_is_no_change_of_membership() {
    let renamed = audience(&[(14, Some("join"), "join")]);
    assert_eq!(renamed.changed().count(), 0);
    assert_eq!(renamed.joined(&user(BOB), RoomSeq(14)), Some(visible(10, 20, None)));
    let joined = [(12, None, "join"), (15, Some("join"), "join")];
    assert_eq!(bob(&joined), Some(visible(12, 20, Some("join"))));
}

#[test]
fn no_share_reaches_beyond_membership() {
    // Every way through the range by four steps: whatever is shared, BOB was joined at each position, or it is his own
    // member event.
    let all = ["join", "leave", "invite", "ban", "knock"];
    for code in 0..5_usize.pow(5) {
        let memberships: Vec<&str> = (0..5).map(|digit| all[code / 5_usize.pow(digit) % 5]).collect();
        let changes: Vec<(u64, Option<&str>, &str)> =
            (0..4).map(|step| (12 + 2 * step as u64, Some(memberships[step]), memberships[step + 1])).collect();
        let Some(told) = bob(&changes) else { continue };
        let at = |seq: u64| memberships[(seq.saturating_sub(10) / 2).min(4) as usize];
        for seq in (10..=20).filter(|seq| told.covers(RoomSeq(*seq))) {
            let own = changes.iter().any(|(position, ..)| *position == seq);
            assert!(own || at(seq) == "join", "{memberships:?} {told:?} {seq}");
        }
        assert_eq!(told.membership.as_deref(), memberships.last().copied());
        assert!(told.first <= told.last);
    }
}
