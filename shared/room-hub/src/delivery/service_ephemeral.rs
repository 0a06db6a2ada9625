//! Telling application services of typing and receipts (Application Service API, "Pushing ephemeral data"). Best effort: whoever
//! cannot be told now is not told.

use std::collections::BTreeMap;

use serde_json::json;
use tern_model::{BoundedVec, RawJson, Receipt};
use tern_ports::{ObjectHost, ask_service, wire::destination::EnqueueEphemeral};

use crate::{RoomActor, delivery::pending::Pending};

impl<H: ObjectHost> RoomActor<H> {
    /// Tells the services that want it and that the room concerns.
    pub(crate) async fn tell_services(&self, news: &Pending) {
        let wants: Vec<_> = self.reachable_services().filter(|service| service.wants_ephemeral()).collect();
        if wants.is_empty() {
            return;
        }
        let Ok(Some(head)) = self.head() else { return };
        let Ok(spans) = self.spans(&head) else { return };
        let events = self.ephemeral_events(news);
        for service in wants.into_iter().filter(|service| spans.get(&service.id).is_some_and(|span| span.is_open())) {
            let ask = EnqueueEphemeral { events: BoundedVec::cut(events.clone()) };
            ask_service(&*self.host, &service.id, ask).await.ok();
        }
    }

    /// As `m.typing` and `m.receipt`; private receipts are nobody's.
    fn ephemeral_events(&self, news: &Pending) -> Vec<RawJson> {
        let mut events = Vec::new();
        if news.typing {
            events.push(json!({
                "type": "m.typing", "room_id": self.room_id, "content": { "user_ids": self.typing_now() },
            }));
        }
        let public = news.receipts.iter().filter(|receipt| receipt.kind == "m.read");
        let mut content = BTreeMap::<_, BTreeMap<_, _>>::new();
        for receipt in public {
            content.entry(&receipt.event_id).or_default().insert(&receipt.user_id, shown(receipt));
        }
        if !content.is_empty() {
            let content: BTreeMap<_, _> =
                content.into_iter().map(|(event_id, readers)| (event_id, json!({ "m.read": readers }))).collect();
            events.push(json!({ "type": "m.receipt", "room_id": self.room_id, "content": content }));
        }
        events.iter().filter_map(|event| RawJson::from_value(event).ok()).collect()
    }
}

fn shown(receipt: &Receipt) -> serde_json::Value {
    match &receipt.thread_id {
        Some(thread_id) => json!({ "ts": receipt.ts, "thread_id": thread_id }),
        None => json!({ "ts": receipt.ts }),
    }
}
