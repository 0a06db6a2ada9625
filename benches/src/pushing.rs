//! Messages to somebody whose phone has a pusher.

use serde_json::json;
use tern_model::{Bounded, BoundedJson};
use tern_ports::{
    ask_user,
    wire::pushers::{PusherFields, SetPusher},
};

use crate::{
    Cluster, Cost, Phone,
    corpus::{Room, TEXT},
    cost::measure,
    phone::raw,
    workloads::Costs,
};

/// Messages of a burst.
const BURST: usize = 10;

impl Costs {
    /// In a room of two, of whom the one who reads has a pusher.
    pub(crate) fn of_pushes(&mut self, room: &Room) {
        room.cluster.run(set_pusher(&room.cluster, &room.reader));
        self.add("push_2".to_owned(), send(room, 1));
        room.cluster.evict_user(&room.reader.user_id);
        room.cluster.pass(60_000);
        self.add("push_cold_2".to_owned(), send(room, 1));
        self.add(format!("push_burst_{BURST}"), send(room, BURST));
    }
}

fn send(room: &Room, messages: usize) -> Cost {
    room.sender.is_online();
    let sending = async {
        for _ in 0..messages {
            room.sender.send(&room.room_id, TEXT).await;
        }
    };
    measure(&room.cluster, sending, |()| 0)
}

async fn set_pusher(cluster: &Cluster, phone: &Phone) {
    let data = json!({"url": "https://push.example.org/_matrix/push/v1/notify", "format": "event_id_only"});
    let pusher = PusherFields {
        app_display_name: Bounded::cut("App"),
        device_display_name: Bounded::cut("Phone"),
        profile_tag: None,
        lang: Bounded::cut("en"),
        data: BoundedJson::new(raw(&data)).expect("it is short"),
        enabled: true,
    };
    let (app_id, pushkey) = (Bounded::cut("app"), Bounded::cut("key"));
    let set = SetPusher { session: phone.session(), app_id, pushkey, pusher };
    ask_user(cluster, &phone.user_id, set).await.expect("the pusher is set");
}
