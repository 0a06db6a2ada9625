//! What notified the user, in pages.

use serde_json::{Value, json};
use tern_model::MatrixError;
use tern_ports::wire::{notifications::ListNotifications, user::SessionRef};

use crate::support::{Hub, bob, notice, redaction, spoken};

impl Hub {
    fn notified(&self, session: &SessionRef, limit: u64, from: Option<&str>) -> Result<Value, MatrixError> {
        let ask =
            ListNotifications { session: session.clone(), from: from.map(str::to_owned), limit, highlights: false };
        self.ask(ask).map(|page| page.read().unwrap())
    }
}

fn ids(page: &Value) -> Vec<String> {
    let list = page["notifications"].as_array().unwrap();
    list.iter().map(|one| one["event"]["event_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn pages_of_all_rooms_go_from_the_newest_on_and_end() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.joins("s");
    for seq in 2..6 {
        for room in ["r", "s"] {
            hub.deliver(vec![notice(room, vec![spoken(seq, bob(), &json!({}))])]);
        }
    }
    let (mut seen, mut from) = (Vec::new(), None);
    loop {
        let (page, rows) = hub.rows(|| hub.notified(&session, 3, from.as_deref()).unwrap());
        assert_eq!(rows, 0);
        seen.extend(ids(&page));
        from = page["next_token"].as_str().map(str::to_owned);
        if from.is_none() {
            break;
        }
    }
    let expected = ["$e5", "$e5", "$e4", "$e4", "$e3", "$e3", "$e2", "$e2"];
    assert_eq!(seen, expected);
    let first = hub.notified(&session, 1, None).unwrap();
    let one = &first["notifications"][0];
    assert_eq!((&one["room_id"], &one["read"], &one["actions"]), (&json!("!s:x"), &json!(false), &json!(["notify"])));
    for bad in ["", "5", "x_1", "1_x", "-1_2"] {
        assert_eq!(&*hub.notified(&session, 1, Some(bad)).unwrap_err().errcode, "M_INVALID_PARAM");
    }
    assert_eq!(ids(&hub.notified(&session, u64::MAX, Some(&format!("{}_1", u64::MAX))).unwrap()).len(), 8);
}

#[test]
fn what_is_redacted_notified_nobody() {
    let hub = Hub::new();
    let session = hub.login("D");
    hub.joins("r");
    hub.deliver(vec![notice("r", vec![spoken(2, bob(), &json!({})), spoken(3, bob(), &json!({}))])]);
    hub.deliver(vec![notice("r", vec![redaction(4, 2)])]);
    assert_eq!(ids(&hub.notified(&session, 9, None).unwrap()), ["$e3"]);
}
