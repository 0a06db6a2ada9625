//! A room made of events as other servers would send them, in any version.

use ruma::{OwnedEventId, state_res::auth_types_for_event};
use serde_json::{Value, json};
use tern_model::{Pdu, RawJson};
use tern_room::{Verdict, Version};

use crate::graph::Graph;

/// The creator.
pub(crate) const ALICE: &str = "@alice:a.test";
/// A member with level 50.
pub(crate) const MOD: &str = "@mod:a.test";
/// A member with level 0.
pub(crate) const BOB: &str = "@bob:a.test";
/// Somebody of another server, outside.
pub(crate) const CAROL: &str = "@carol:b.test";

/// An event to be.
#[derive(Clone)]
pub(crate) struct Event {
    kind: String,
    sender: String,
    key: Option<String>,
    content: Value,
    more: Value,
    auth: Option<Vec<OwnedEventId>>,
}

/// An event of a type by a sender.
pub(crate) fn event(kind: &str, sender: &str) -> Event {
    Event {
        kind: kind.to_owned(),
        sender: sender.to_owned(),
        key: None,
        content: json!({}),
        more: json!({}),
        auth: None,
    }
}

pub(crate) fn state(kind: &str, sender: &str, content: Value) -> Event {
    event(kind, sender).key("").content(content)
}

/// `sender` gives `target` a membership.
pub(crate) fn member(sender: &str, target: &str, membership: &str) -> Event {
    event("m.room.member", sender).key(target).content(json!({ "membership": membership }))
}

pub(crate) fn message(sender: &str) -> Event {
    event("m.room.message", sender).content(json!({ "body": "hello" }))
}

impl Event {
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.key = Some(key.to_owned());
        self
    }

    pub(crate) fn content(mut self, content: Value) -> Self {
        self.content = content;
        self
    }

    /// Adds to the content.
    pub(crate) fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.content[name] = value.into();
        self
    }

    /// A field beside the content.
    pub(crate) fn field(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.more[name] = value.into();
        self
    }

    /// These auth events instead of the right ones.
    pub(crate) fn auth(mut self, auth: Vec<OwnedEventId>) -> Self {
        self.auth = Some(auth);
        self
    }
}

pub(crate) struct Scene {
    pub(crate) version: &'static Version,
    pub(crate) graph: Graph,
    room_id: Option<String>,
    count: usize,
}

impl Scene {
    /// Nothing yet.
    pub(crate) fn empty(version: &'static Version) -> Self {
        Self { version, graph: Graph::new(version), room_id: None, count: 0 }
    }

    /// A public room of ALICE's with MOD and BOB in it.
    pub(crate) fn new(version: &'static Version) -> Self {
        Self::with_create(version, json!({}))
    }

    pub(crate) fn with_create(version: &'static Version, content: Value) -> Self {
        let mut scene = Self::empty(version);
        let create = scene.create(content);
        scene.add(create);
        scene.add(member(ALICE, ALICE, "join"));
        let levels = scene.levels(json!({ MOD: 50 }));
        scene.add(levels);
        scene.add(state("m.room.join_rules", ALICE, json!({ "join_rule": "public" })));
        scene.add(member(MOD, MOD, "join"));
        scene.add(member(BOB, BOB, "join"));
        scene
    }

    /// ALICE's create event, right for the version.
    pub(crate) fn create(&self, mut content: Value) -> Event {
        content["room_version"] = self.version.id.into();
        if self.version.creator_in_content() {
            content["creator"] = ALICE.into();
        }
        state("m.room.create", ALICE, content)
    }

    /// Power levels by ALICE with these users, and ALICE's own where creators have to be listed.
    pub(crate) fn levels(&self, mut users: Value) -> Event {
        if !self.version.privileges_creators() {
            users[ALICE] = 100.into();
        }
        state("m.room.power_levels", ALICE, json!({ "users": users }))
    }

    /// The room's current content of a state event.
    pub(crate) fn now(&self, kind: &str) -> Value {
        serde_json::from_str(self.graph.now(kind, "").unwrap().body().get()).unwrap()
    }

    /// Whether the event is accepted, without its being kept.
    pub(crate) fn authorise_pdu(&mut self, event: Event) -> Verdict {
        let pdu = self.make(event);
        tern_room::authorise_pdu(&self.graph, &pdu).unwrap().verdict
    }

    /// An event that must be accepted.
    pub(crate) fn add(&mut self, event: Event) -> Pdu {
        let pdu = self.make(event);
        let verdict = self.graph.take(&pdu).unwrap();
        assert_eq!(verdict, Verdict::Accept, "{}", pdu.raw().text());
        pdu
    }

    /// An event that must be rejected, and stays as such.
    pub(crate) fn add_rejected(&mut self, event: Event) -> Pdu {
        let pdu = self.make(event);
        assert!(matches!(self.graph.take(&pdu).unwrap(), Verdict::Reject(_)), "{}", pdu.raw().text());
        pdu
    }

    pub(crate) fn id_of(&self, kind: &str, key: &str) -> OwnedEventId {
        self.graph.now(kind, key).unwrap().id().to_owned()
    }

    /// The auth events that the event should have.
    pub(crate) fn auth_for(&self, event: &Event) -> Vec<OwnedEventId> {
        let content = serde_json::value::to_raw_value(&event.content).unwrap();
        let sender = event.sender.as_str().try_into().unwrap();
        let rules = &self.version.rules.authorization;
        let wanted = auth_types_for_event(&event.kind.as_str().into(), sender, event.key.as_deref(), &content, rules);
        // Without the right shape of content there is no right list; that of a message comes nearest.
        let wanted = wanted
            .unwrap_or_else(|_| auth_types_for_event(&"m.room.message".into(), sender, None, &content, rules).unwrap());
        let found = wanted.into_iter().filter_map(|key| self.graph.present.state.get(&key).cloned());
        found.collect()
    }

    pub(crate) fn make(&mut self, event: Event) -> Pdu {
        self.count += 1;
        let event_id = OwnedEventId::try_from(format!("$event-{}:a.test", self.count)).unwrap();
        let auth = event.auth.clone().unwrap_or_else(|| self.auth_for(&event));
        let prev: Vec<_> = self.graph.present.extremities.clone();
        let is_create = event.kind == "m.room.create";
        let mut pdu = json!({
            "type": event.kind, "sender": event.sender, "content": event.content, "depth": self.count,
            "origin_server_ts": self.count, "auth_events": self.references(&auth), "prev_events": self.references(&prev),
        });
        if let Some(key) = event.key {
            pdu["state_key"] = key.into();
        }
        if is_create && self.room_id.is_none() {
            let hash = event_id.as_str().trim_start_matches('$');
            let by_hash = self.version.room_id_is_create_hash();
            self.room_id = Some(if by_hash { format!("!{hash}") } else { "!room:a.test".to_owned() });
        }
        if !(is_create && self.version.room_id_is_create_hash()) {
            pdu["room_id"] = self.room_id.clone().unwrap().into();
        }
        for (name, value) in event.more.as_object().unwrap() {
            pdu[name] = value.clone();
        }
        Pdu::parse(event_id, RawJson::from_value(&pdu).unwrap()).unwrap()
    }

    /// References as the version writes them.
    fn references(&self, ids: &[OwnedEventId]) -> Value {
        let pairs = self.version.event_id_in_event();
        ids.iter().map(|id| if pairs { json!([id, { "sha256": "hash" }]) } else { json!(id) }).collect()
    }
}
