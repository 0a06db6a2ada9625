//! Unread counts: what counts, what ends it, and what it costs.

use ruma::UserId;
use serde_json::{Value, json};
use tern_model::{EphemeralNotice, Millis, Notice, NoticeEvent, Receipt, RoomSeq, news};
use tern_ports::wire::user::{ChangePushRule, ClassicSync, PushRuleChange, SessionRef, WriteAccountData};

use crate::support::{Hub, alice, bob, member, notice, raw, redaction, rooms_only, spoken, summary};

/// A room's counts as classic sync tells them: main timeline, threads.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) main: (u64, u64),
    pub(crate) threads: Vec<(String, (u64, u64))>,
}

impl Unread {
    pub(crate) fn main(notifications: u64, highlights: u64) -> Self {
        Self { main: (notifications, highlights), threads: Vec::new() }
    }

    fn thread(self, root: u64, notifications: u64, highlights: u64) -> Self {
        let threads = [(format!("$e{root}"), (notifications, highlights))];
        Self { threads: self.threads.into_iter().chain(threads).collect(), ..self }
    }

    pub(crate) fn total(&self) -> (u64, u64) {
        self.threads.iter().fold(self.main, |sum, (_, counts)| (sum.0 + counts.0, sum.1 + counts.1))
    }
}

fn pair(counts: &Value) -> (u64, u64) {
    (counts["notification_count"].as_u64().unwrap_or(0), counts["highlight_count"].as_u64().unwrap_or(0))
}

impl Hub {
    /// The counts in a first classic answer.
    pub(crate) fn unread(&self, session: &SessionRef) -> Unread {
        let filter = json!({"room": {"timeline": {"limit": 1, "unread_thread_notifications": true}}});
        let sync = ClassicSync {
            session: session.clone(),
            since: None,
            filter: Some(filter.to_string()),
            full_state: false,
            state_after: None,
            may_wait: false,
            presence: None,
            rooms_alone: false,
        };
        let body = crate::support::step(self.handle(sync)).unwrap().body();
        let room = &body["rooms"]["join"]["!r:x"];
        let threads = room["unread_thread_notifications"].as_object().cloned().unwrap_or_default();
        let threads = threads.iter().map(|(root, counts)| (root.clone(), pair(counts))).collect();
        Unread { main: pair(&room["unread_notifications"]), threads }
    }

    pub(crate) fn tell(&self, events: Vec<NoticeEvent>) {
        let forwarded = events.first().map_or(RoomSeq(0), |event| event.seq.previous());
        self.deliver(vec![Notice { forwarded, ..notice("r", events) }]);
        self.host.settle();
    }

    pub(crate) fn reads(&self, kind: &str, thread_id: Option<&str>, seq: u64, ts: u64) {
        let receipt = Receipt {
            kind: kind.to_owned(),
            user_id: alice().to_owned(),
            event_id: format!("$e{seq}").try_into().unwrap(),
            seq: Some(RoomSeq(seq)),
            thread_id: thread_id.map(|thread_id| thread_id.try_into().unwrap()),
            ts: Millis(ts),
        };
        self.deliver(vec![Notice { ephemeral: vec![EphemeralNotice::Receipts(vec![receipt])], ..notice("r", vec![]) }]);
    }

    pub(crate) fn rule(&self, session: &SessionRef, kind: &str, rule_id: &str, change: PushRuleChange) {
        let (kind, rule_id) = (kind.to_owned(), rule_id.to_owned());
        self.ask(ChangePushRule { session: session.clone(), kind, rule_id, change }).unwrap();
    }

    pub(crate) fn ignore(&self, session: &SessionRef, users: &[&UserId]) {
        let users: serde_json::Map<_, _> = users.iter().map(|user| (user.to_string(), json!({}))).collect();
        self.ask(WriteAccountData {
            session: session.clone(),
            room_id: None,
            kind: "m.ignored_user_list".to_owned(),
            content: raw(&json!({"ignored_users": users})),
        })
        .unwrap();
    }
}

pub(crate) fn mentions() -> Value {
    json!({"m.mentions": {"user_ids": [alice()]}})
}

pub(crate) fn in_thread(root: u64) -> Value {
    json!({"m.relates_to": {"rel_type": "m.thread", "event_id": format!("$e{root}")}})
}

fn says(seq: u64) -> NoticeEvent {
    spoken(seq, bob(), &json!({}))
}

#[test]
fn messages_count_by_thread_and_mentions_highlight() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    assert_eq!(hub.unread(&session), Unread::main(0, 0));
    hub.tell(vec![says(2), spoken(3, bob(), &mentions()), spoken(4, bob(), &in_thread(2))]);
    assert_eq!(hub.unread(&session), Unread::main(2, 1).thread(2, 1, 0));
    // What relates to something in a thread is in that thread: here, an answer to a poll in it.
    hub.tell(vec![spoken(5, bob(), &json!({"m.relates_to": {"rel_type": "m.reference", "event_id": "$e4"}}))]);
    assert_eq!(hub.unread(&session), Unread::main(2, 1).thread(2, 2, 0));
    let hub = hub.slept();
    assert_eq!(hub.unread(&session), Unread::main(2, 1).thread(2, 2, 0));
    let sliding = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    assert_eq!(pair(&sliding["rooms"]["!r:x"]), (4, 1), "both syncs tell the same");
}

#[test]
fn reading_ends_what_was_read_and_nothing_else() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.tell(vec![says(2), spoken(3, bob(), &in_thread(2)), says(4), spoken(5, bob(), &in_thread(2)), says(6)]);
    assert_eq!(hub.unread(&session), Unread::main(3, 0).thread(2, 2, 0));
    hub.reads("m.read", Some("main"), 4, 1);
    assert_eq!(hub.unread(&session), Unread::main(1, 0).thread(2, 2, 0), "the main timeline up to 4");
    hub.reads("m.read.private", Some("$e2"), 3, 2);
    assert_eq!(hub.unread(&session), Unread::main(1, 0).thread(2, 1, 0), "the thread up to 3");
    hub.reads("m.read", None, 2, 3);
    assert_eq!(hub.unread(&session), Unread::main(1, 0).thread(2, 1, 0), "read further already");
    hub.reads("m.read", None, 5, 4);
    assert_eq!(hub.unread(&session), Unread::main(1, 0), "everything up to 5");
    hub.tell(vec![spoken(7, bob(), &in_thread(2)), spoken(8, alice(), &json!({}))]);
    assert_eq!(hub.unread(&session), Unread::main(0, 0).thread(2, 1, 0), "who writes has read the main timeline");
    hub.tell(vec![spoken(9, alice(), &in_thread(2))]);
    assert_eq!(hub.unread(&session), Unread::main(0, 0));
    // What was sent on Alice's behalf says nothing of what she saw.
    hub.tell(vec![says(10), member(11, alice(), "join")]);
    assert_eq!(hub.unread(&session), Unread::main(1, 0));
}

#[test]
fn a_receipt_wakes_the_other_devices_and_the_counts_come_with_it() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.tell(vec![says(2), says(3)]);
    let first = hub.sliding(&session, &rooms_only(), None, false).unwrap().body();
    hub.host.take_wakes();
    hub.reads("m.read.private", None, 2, 1);
    assert_eq!(hub.woken(), news::RECEIPTS | news::ROOMS);
    let next = hub.sliding(&session, &rooms_only(), first["pos"].as_str(), true).unwrap().body();
    assert_eq!(next["rooms"]["!r:x"]["notification_count"], 1);
    assert_eq!(next["rooms"]["!r:x"]["timeline"], Value::Null, "nothing else is told again");
    hub.host.take_wakes();
    hub.reads("m.read", None, 2, 2);
    assert_eq!(hub.woken(), news::RECEIPTS, "read before");
}

#[test]
fn redacted_events_ignored_users_and_muted_rooms_do_not_count() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.tell(vec![says(2), spoken(3, bob(), &mentions()), redaction(4, 3)]);
    assert_eq!(hub.unread(&session), Unread::main(1, 0));
    hub.tell(vec![redaction(5, 3), redaction(6, 2)]);
    assert_eq!(hub.unread(&session), Unread::main(0, 0));
    hub.ignore(&session, &[bob()]);
    hub.tell(vec![spoken(7, bob(), &mentions())]);
    assert_eq!(hub.unread(&session), Unread::main(0, 0), "ignored");
    hub.ignore(&session, &[]);
    hub.rule(
        &session,
        "room",
        "!r:x",
        PushRuleChange::Put { rule: raw(&json!({"actions": []})), before: None, after: None },
    );
    hub.tell(vec![says(8), spoken(9, bob(), &mentions())]);
    assert_eq!(hub.unread(&session), Unread::main(1, 1), "muted, but not for mentions");
    hub.rule(&session, "override", ".m.rule.master", PushRuleChange::Enable(true));
    hub.tell(vec![spoken(10, bob(), &mentions())]);
    assert_eq!(hub.unread(&session), Unread::main(1, 1), "nothing notifies");
}

#[test]
fn leaving_ends_all_counts_and_coming_back_begins_anew() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.tell(vec![says(2), says(3)]);
    let leave = member(4, alice(), "leave");
    hub.deliver(vec![Notice { membership: Some("leave".to_owned()), ..notice("r", vec![leave]) }]);
    let invited = member(7, alice(), "invite");
    hub.deliver(vec![Notice { membership: Some("invite".to_owned()), ..notice("r", vec![invited]) }]);
    let back = Notice {
        membership: Some("join".to_owned()),
        summary: Some(summary("6")),
        ..notice("r", vec![member(9, alice(), "join"), says(10)])
    };
    hub.deliver(vec![back]);
    hub.host.settle();
    assert_eq!(hub.unread(&session), Unread::main(1, 0));
}

#[test]
fn with_5000_unread_a_message_and_a_sync_do_the_same_work_as_with_none() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    let step = |seq: u64, pos: &Option<String>| {
        let ((), told) = hub.rows(|| hub.tell(vec![says(seq)]));
        let statements = hub.host.sqlite.statements();
        let answer = hub.sliding(&session, &rooms_only(), pos.as_deref(), false).unwrap().body();
        (answer, told, hub.host.sqlite.statements() - statements)
    };
    let (first, ..) = step(2, &None);
    let (next, told, asked) = step(3, &first["pos"].as_str().map(str::to_owned));
    let rows: u64 = (4..=5_001).map(|seq| hub.rows(|| hub.tell(vec![says(seq)])).1).sum();
    // The event; every 25th message the room, one pack and one row of places.
    assert!(rows <= 5_000 + 5_000 / 25 * 3, "{rows} rows");
    let caught_up = hub.sliding(&session, &rooms_only(), next["pos"].as_str(), false).unwrap().body();
    assert_eq!(caught_up["rooms"]["!r:x"]["notification_count"], 5_000);
    let (last, told_late, asked_late) = step(5_002, &caught_up["pos"].as_str().map(str::to_owned));
    assert_eq!(last["rooms"]["!r:x"]["notification_count"], 5_001);
    assert_eq!((told_late, asked_late), (told, asked));
    // Receipts in the middle and at the end.
    hub.reads("m.read", None, 2_502, 1);
    assert_eq!(hub.unread(&session), Unread::main(2_500, 0));
    let ((), rows) = hub.rows(|| hub.reads("m.read", None, 5_002, 2));
    assert!(rows <= 12, "{rows} rows");
    assert_eq!(hub.unread(&session), Unread::main(0, 0));
}
