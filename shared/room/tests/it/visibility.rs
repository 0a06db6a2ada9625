use tern_model::RoomSeq;
use tern_room::{StateAccess, may_see, state_access, visibility::Facts};

use crate::support::{BOB, user};

type Values = [(RoomSeq, String)];

fn values(list: &[(u64, &str)]) -> Vec<(RoomSeq, String)> {
    list.iter().map(|(seq, value)| (RoomSeq(*seq), (*value).to_owned())).collect()
}

fn sees(history: &Values, membership: &Values, seq: u64) -> bool {
    let bob = user(BOB);
    may_see(&Facts { user_id: &bob, history, membership }, RoomSeq(seq), "m.room.message", None)
}

fn sees_state(history: &[(u64, &str)], membership: &[(u64, &str)], seq: u64, kind: &str, key: &str) -> bool {
    let bob = user(BOB);
    let (history, membership) = (values(history), values(membership));
    may_see(&Facts { user_id: &bob, history: &history, membership: &membership }, RoomSeq(seq), kind, Some(key))
}

/// A message at 10, for each visibility and each membership at that moment, with and without a join later.
#[test]
fn four_visibilities_by_all_memberships() {
    let table = [
        // visibility, then: sees it as nobody, invited, knocking, joined, left, banned; and after joining later: the same
        ("world_readable", "yyyyyy", "yyyyyy"),
        ("shared", "nnnynn", "yyyyyy"),
        ("invited", "nynynn", "nynynn"),
        ("joined", "nnnynn", "nnnynn"),
        ("unheard of", "nnnynn", "yyyyyy"),
    ];
    for (visibility, now, later) in table {
        let history = values(&[(3, visibility)]);
        for (index, membership) in ["", "invite", "knock", "join", "leave", "ban"].into_iter().enumerate() {
            let mut list: Vec<(u64, &str)> = Vec::new();
            if !membership.is_empty() {
                list.push((5, membership));
            }
            let expected = |row: &str| row.as_bytes()[index] == b'y';
            assert_eq!(sees(&history, &values(&list), 10), expected(now), "{visibility} {membership}");
            list.push((20, "join"));
            assert_eq!(sees(&history, &values(&list), 10), expected(later), "{visibility} {membership}, then join");
        }
    }
}

#[test]
fn without_a_visibility_it_is_shared() {
    assert!(!sees(&[], &[], 10));
    assert!(sees(&[], &values(&[(11, "join")]), 10));
}

#[test]
fn nothing_after_leaving_is_seen_unless_one_returns() {
    for visibility in ["shared", "invited", "joined"] {
        let history = values(&[(1, visibility)]);
        let left = values(&[(5, "join"), (10, "leave")]);
        assert!(sees(&history, &left, 9));
        assert!(!sees(&history, &left, 11), "{visibility}");
        let back = values(&[(5, "join"), (10, "leave"), (20, "join")]);
        assert_eq!(sees(&history, &back, 15), visibility == "shared");
        assert!(sees(&history, &back, 21));
    }
}

#[test]
fn the_setting_at_the_event_counts_not_the_present_one() {
    let history = values(&[(1, "joined"), (10, "shared")]);
    let member = values(&[(20, "join")]);
    assert!(!sees(&history, &member, 5));
    assert!(sees(&history, &member, 15));
}

#[test]
fn a_change_of_visibility_is_seen_from_either_side() {
    let kind = "m.room.history_visibility";
    let open_to_closed = [(1, "world_readable"), (10, "joined")];
    let closed_to_open = [(1, "joined"), (10, "world_readable")];
    let closed = [(1, "joined"), (10, "invited")];
    assert!(sees_state(&open_to_closed, &[], 10, kind, ""));
    assert!(sees_state(&closed_to_open, &[], 10, kind, ""));
    assert!(!sees_state(&closed, &[], 10, kind, ""));
    assert!(!sees_state(&open_to_closed, &[], 10, "m.room.name", ""), "only the change itself");
}

#[test]
fn ones_own_membership_is_seen_from_either_side() {
    let joined = [(1, "joined")];
    assert!(sees_state(&joined, &[(10, "join")], 10, "m.room.member", BOB));
    assert!(sees_state(&joined, &[(5, "join"), (10, "leave")], 10, "m.room.member", BOB));
    assert!(sees_state(&joined, &[(5, "join"), (10, "ban")], 10, "m.room.member", BOB));
    assert!(!sees_state(&joined, &[(10, "ban")], 10, "m.room.member", BOB));
    assert!(!sees_state(&joined, &[(5, "join"), (10, "leave")], 10, "m.room.member", "@carol:tern.test"));
    assert!(sees_state(&[(1, "invited")], &[(5, "invite"), (10, "leave")], 10, "m.room.member", BOB));
}

#[test]
fn those_who_left_read_the_state_of_that_moment() {
    let bob = user(BOB);
    let access = |history: &[(u64, &str)], membership: &[(u64, &str)]| {
        let (history, membership) = (values(history), values(membership));
        state_access(&Facts { user_id: &bob, history: &history, membership: &membership })
    };
    assert_eq!(access(&[], &[]), StateAccess::Denied);
    assert_eq!(access(&[], &[(5, "invite")]), StateAccess::Denied);
    assert_eq!(access(&[], &[(5, "invite"), (6, "leave")]), StateAccess::Denied);
    assert_eq!(access(&[], &[(5, "join")]), StateAccess::Current);
    assert_eq!(access(&[], &[(5, "join"), (7, "join"), (9, "leave"), (12, "ban")]), StateAccess::At(RoomSeq(9)));
    assert_eq!(access(&[], &[(5, "join"), (9, "leave"), (12, "invite")]), StateAccess::At(RoomSeq(9)));
    assert_eq!(access(&[], &[(5, "join"), (9, "leave"), (12, "join")]), StateAccess::Current);
    assert_eq!(access(&[(1, "world_readable")], &[]), StateAccess::Current);
    assert_eq!(access(&[(1, "world_readable"), (4, "shared")], &[]), StateAccess::Denied);
}
