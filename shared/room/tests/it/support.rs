//! A small room in memory.

use std::collections::BTreeMap;

use ruma::{
    CanonicalJsonObject, OwnedEventId, OwnedRoomId, OwnedUserId, RoomId, UserId, events::StateEventType, serde::Base64,
    signatures::PublicKeyMap,
};
use serde_json::{Value, json};
use tern_model::{MatrixError, MembershipAction, Millis, Pdu, RawJson, RoomSeq, StoredEvent};
use tern_room::{
    Change, CreateRoomRequest, Draft, Extremity, Outcome, RoomView, SendError, Signer, Unreadable, Version, authorise,
    membership, plan, propose,
};

pub(crate) const SERVER: &str = "tern.test";
pub(crate) const ALICE: &str = "@alice:tern.test";
pub(crate) const BOB: &str = "@bob:tern.test";
pub(crate) const CAROL: &str = "@carol:tern.test";

pub(crate) fn user(id: &str) -> OwnedUserId {
    OwnedUserId::try_from(id).unwrap()
}

pub(crate) fn signer() -> Signer {
    Signer::new(SERVER.try_into().unwrap(), "ed25519:t1", &[7; 32]).unwrap()
}

pub(crate) fn public_keys() -> PublicKeyMap {
    let key = Base64::new(signer().public_key().to_vec());
    BTreeMap::from([(SERVER.to_owned(), BTreeMap::from([("ed25519:t1".to_owned(), key)]))])
}

pub(crate) fn raw(value: &Value) -> RawJson {
    RawJson::from_value(value).unwrap()
}

pub(crate) fn object(pdu: &Pdu) -> CanonicalJsonObject {
    pdu.raw().read().unwrap()
}

pub(crate) fn content(pdu: &Pdu) -> Value {
    serde_json::from_str(pdu.body().get()).unwrap()
}

pub(crate) fn request(value: Value) -> CreateRoomRequest {
    serde_json::from_value(value).unwrap()
}

pub(crate) fn message(sender: &str) -> Draft {
    let content = raw(&json!({ "msgtype": "m.text", "body": "hello" }));
    Draft::new(user(sender), "m.room.message".to_owned(), None, content, None)
}

pub(crate) fn state(sender: &str, kind: &str, key: &str, content: &Value) -> Draft {
    Draft::state(user(sender), kind, key, raw(content))
}

/// A room that keeps its events in a list; the last one is its only forward extremity.
pub(crate) struct Room {
    pub(crate) id: OwnedRoomId,
    pub(crate) version: &'static Version,
    pub(crate) events: Vec<Pdu>,
    pub(crate) state: BTreeMap<(StateEventType, String), Pdu>,
    pub(crate) broken: bool,
}

impl Room {
    /// A room of ALICE's.
    pub(crate) fn create(version: &str, mut body: Value) -> Self {
        body["room_version"] = version.into();
        Self::try_create(&request(body)).unwrap()
    }

    pub(crate) fn try_create(request: &CreateRoomRequest) -> Result<Self, MatrixError> {
        let plan = plan(request, &user(ALICE), &BTreeMap::new(), [9; 18], Millis(1_000), &signer())?;
        let mut room =
            Self { id: plan.room_id, version: plan.version, events: Vec::new(), state: BTreeMap::new(), broken: false };
        room.append(plan.create);
        for draft in plan.drafts {
            room.send(&draft).map_err(SendError::while_creating)?;
        }
        Ok(room)
    }

    pub(crate) fn append(&mut self, pdu: Pdu) {
        if let Some(key) = pdu.key() {
            let kind = StateEventType::from(pdu.kind().to_string());
            self.state.insert((kind, key.to_owned()), pdu.clone());
        }
        self.events.push(pdu);
    }

    pub(crate) fn now(&self) -> Millis {
        Millis(1_000 + self.events.len() as u64)
    }

    pub(crate) fn send(&mut self, draft: &Draft) -> Result<Pdu, SendError> {
        let pdu = propose(&*self, draft, self.now(), &signer())?;
        // What was proposed is authorised by itself, too.
        authorise(&*self, &pdu).unwrap();
        self.append(pdu.clone());
        Ok(pdu)
    }

    /// `send` with the failure as the client sees it.
    pub(crate) fn refused(&mut self, draft: &Draft) -> (u16, String) {
        let error = MatrixError::from(self.send(draft).unwrap_err());
        (error.status, error.errcode.into_owned())
    }

    pub(crate) fn set(&mut self, sender: &str, kind: &str, content: &Value) {
        self.send(&state(sender, kind, "", content)).unwrap();
    }

    pub(crate) fn decide(&self, action: MembershipAction, actor: &str, target: &str) -> Result<Outcome, MatrixError> {
        self.decide_in(action, actor, target, &[])
    }

    pub(crate) fn decide_in(
        &self,
        action: MembershipAction,
        actor: &str,
        target: &str,
        joined: &[&str],
    ) -> Result<Outcome, MatrixError> {
        let (actor, target) = (user(actor), user(target));
        let change = Change { action, actor: &actor, target: &target, reason: None, extra: None };
        Ok(membership::decide(self, &change, |room: &RoomId| joined.contains(&room.as_str()))?)
    }

    /// Changes a membership and returns the new member event, or the old one if nothing changes.
    pub(crate) fn change(&mut self, action: MembershipAction, actor: &str, target: &str) -> Result<Pdu, MatrixError> {
        match self.decide(action, actor, target)? {
            Outcome::Unchanged(pdu) => Ok(pdu),
            Outcome::Send(draft) => Ok(self.send(&draft)?),
        }
    }

    pub(crate) fn join(&mut self, user_id: &str) -> Pdu {
        self.change(MembershipAction::Join, user_id, user_id).unwrap()
    }

    pub(crate) fn find(&self, kind: &str, key: &str) -> Option<Value> {
        self.state.get(&(StateEventType::from(kind), key.to_owned())).map(content)
    }

    pub(crate) fn membership(&self, user_id: &str) -> Option<String> {
        Some(self.find("m.room.member", user_id)?["membership"].as_str().unwrap().to_owned())
    }
}

impl RoomView for Room {
    fn room_id(&self) -> &RoomId {
        &self.id
    }

    fn version(&self) -> &'static Version {
        self.version
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        if self.broken {
            return Err(Unreadable("disk".to_owned()));
        }
        Ok(self.state.get(&(kind.clone(), state_key.to_owned())).cloned())
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        let last = self.events.last().into_iter();
        Ok(last.map(|pdu| Extremity { event_id: pdu.id().to_owned(), depth: pdu.depth() }).collect())
    }

    fn joined(&self, limit: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        let members = self
            .state
            .iter()
            .filter(|((kind, _), pdu)| *kind == StateEventType::RoomMember && content(pdu)["membership"] == "join");
        Ok(members.take(limit).map(|((_, key), _)| user(key)).collect())
    }
}

/// A stored event as the hub keeps it.
pub(crate) fn stored(seq: u64, pdu: &Pdu, unsigned: Option<RawJson>) -> StoredEvent {
    StoredEvent {
        seq: RoomSeq(seq),
        event_id: pdu.id().to_owned(),
        kind: pdu.kind().to_string(),
        sender: pdu.from().to_string(),
        state_key: pdu.key().map(str::to_owned),
        ts: pdu.ts(),
        pdu: pdu.raw().clone(),
        unsigned,
        txn: None,
    }
}

/// A member event at a position, with the membership before it.
pub(crate) fn member_event(seq: u64, target: &UserId, before: Option<&str>, after: &str) -> StoredEvent {
    StoredEvent {
        seq: RoomSeq(seq),
        event_id: OwnedEventId::try_from(format!("$e{seq}")).unwrap(),
        kind: "m.room.member".to_owned(),
        sender: target.to_string(),
        state_key: Some(target.to_string()),
        ts: Millis(seq),
        pdu: raw(&json!({ "content": { "membership": after } })),
        unsigned: before.map(|before| raw(&json!({ "prev_content": { "membership": before } }))),
        txn: None,
    }
}
