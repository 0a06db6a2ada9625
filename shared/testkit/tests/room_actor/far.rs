//! A room with a member on another server, and what that server makes of whatever it likes.

use ruma::{
    OwnedEventId, OwnedUserId, RoomId,
    events::StateEventType,
    serde::{Base64, base64::Standard},
};
use serde_json::{Value, json};
use tern_model::{MatrixError, Millis, Pdu, RawJson};
use tern_ports::{
    Sql as _,
    wire::{
        receive::{PduResult, Receipted, ReceiveEvents, ServerKey},
        room::MembershipAction,
    },
};
use tern_room::{Draft, Extremity, RoomView, Signer, Unreadable, Version, build::build};

use super::scene::{ALICE, BOB, CAROL, Scene, raw, user};

pub(crate) const MOD: &str = "@mod:far.test";
pub(crate) const HOME: (&str, &str, u8) = ("tern.test", "ed25519:t", 7);
pub(crate) const AWAY: (&str, &str, u8) = ("far.test", "ed25519:f", 9);

/// An event, and its depth.
pub(crate) type Place = (OwnedEventId, u64);

pub(crate) fn signer((server, key_id, seed): (&str, &str, u8)) -> Signer {
    Signer::new(server.try_into().unwrap(), key_id, &[seed; 32]).unwrap()
}

pub(crate) fn keys() -> Vec<ServerKey> {
    let key = |who: (&str, &str, u8)| ServerKey {
        server_name: who.0.try_into().unwrap(),
        key_id: who.1.to_owned(),
        key: Base64::<Standard>::new(signer(who).public_key().to_vec()).encode(),
        valid_until: Some(Millis(1 << 52)),
    };
    vec![key(HOME), key(AWAY)]
}

/// The room as its hub has it, with extremities of the liar's choice, and state that the hub does not have.
struct Face<'a> {
    scene: &'a Scene,
    on: Vec<Extremity>,
    extra: Vec<Pdu>,
}

impl RoomView for Face<'_> {
    fn room_id(&self) -> &RoomId {
        &self.scene.room_id
    }

    fn version(&self) -> &'static Version {
        let rows = self.scene.host.sqlite.query("SELECT version FROM head", &[]).unwrap();
        Version::known(rows[0].text(0).unwrap()).unwrap()
    }

    fn state(&self, kind: &StateEventType, state_key: &str) -> Result<Option<Pdu>, Unreadable> {
        let (kind, is) = (kind.to_string(), |pdu: &&Pdu| pdu.key() == Some(state_key));
        if let Some(pdu) = self.extra.iter().rev().filter(|pdu| pdu.kind().to_string() == kind).find(is) {
            return Ok(Some(pdu.clone()));
        }
        let sql = "SELECT e.event_id, e.pdu FROM state s JOIN events e ON e.seq = s.seq
                   WHERE s.kind = +? AND s.state_key = +?";
        let rows = self.scene.host.sqlite.query(sql, &[kind.into(), state_key.into()]).unwrap();
        Ok(rows.first().map(pdu_of))
    }

    fn extremities(&self) -> Result<Vec<Extremity>, Unreadable> {
        Ok(self.on.clone())
    }

    fn joined(&self, _: usize) -> Result<Vec<OwnedUserId>, Unreadable> {
        Ok(Vec::new())
    }
}

pub(crate) fn pdu_of(row: &tern_ports::Row) -> Pdu {
    Pdu::parse(row.text(0).unwrap().try_into().unwrap(), RawJson::parse(row.string(1).unwrap()).unwrap()).unwrap()
}

/// Where an event stands.
pub(crate) fn at(pdu: &Pdu) -> Place {
    (pdu.id().to_owned(), pdu.depth())
}

/// What became of events, in few words.
pub(crate) fn results(receipts: &[Receipted]) -> Vec<String> {
    let result = |receipt: &Receipted| match &receipt.result {
        PduResult::Missing(list) => format!("missing {}", list.len()),
        PduResult::Rejected(_) => "rejected".to_owned(),
        PduResult::SoftFailed(_) => "soft-failed".to_owned(),
        PduResult::Dropped(reason) => format!("dropped: {reason}"),
        other => format!("{other:?}").to_lowercase(),
    };
    receipts.iter().map(result).collect()
}

impl Scene {
    /// Alice's public room of version 11; `MOD` of far.test is in it with power.
    pub(crate) fn shared() -> Self {
        Self::shared_in("11")
    }

    pub(crate) fn shared_in(version: &str) -> Self {
        let scene = Self::of(&json!({ "preset": "public_chat", "room_version": version, "name": "Nest" }));
        scene.act(BOB, MembershipAction::Join, BOB).unwrap();
        scene.act(CAROL, MembershipAction::Join, CAROL).unwrap();
        let levels = json!({ "users": { ALICE: 100, MOD: 90 }, "state_default": 50 });
        scene.set(ALICE, "m.room.power_levels", "", &levels).unwrap();
        let join = json!({ "membership": "join" });
        let join = scene.make(&[scene.newest()], "m.room.member", Some(MOD), &join, 1_000, Vec::new());
        assert_eq!(scene.take(&[join]), ["accepted"]);
        scene.calm();
        scene
    }

    /// The newest event here.
    pub(crate) fn newest(&self) -> Place {
        let sql = "SELECT event_id, pdu FROM events ORDER BY seq DESC LIMIT 1";
        at(&pdu_of(&self.host.sqlite.query(sql, &[]).unwrap()[0]))
    }

    /// An event of `MOD`'s that stands where the liar wants it.
    pub(crate) fn make(
        &self,
        on: &[Place],
        kind: &str,
        key: Option<&str>,
        content: &Value,
        ts: u64,
        extra: Vec<Pdu>,
    ) -> Pdu {
        let on = on.iter().map(|(event_id, depth)| Extremity { event_id: event_id.clone(), depth: *depth }).collect();
        let draft = Draft::new(user(MOD), kind.to_owned(), key.map(str::to_owned), raw(content), None);
        build(&Face { scene: self, on, extra }, &draft, Millis(ts), &signer(AWAY)).unwrap()
    }

    /// A message of `MOD`'s.
    pub(crate) fn message(&self, on: &Place, text: &str) -> Pdu {
        self.make(std::slice::from_ref(on), "m.room.message", None, &json!({ "body": text }), 2_000, Vec::new())
    }

    /// What far.test sends.
    pub(crate) fn receiving(events: &[Pdu], outliers: &[Pdu]) -> ReceiveEvents {
        let raws = |pdus: &[Pdu]| pdus.iter().map(|pdu| pdu.raw().clone()).collect();
        let origin = "far.test".try_into().unwrap();
        let (events, outliers) = (raws(events), raws(outliers));
        ReceiveEvents { origin, version: None, events, outliers, keys: keys() }
    }

    pub(crate) fn receive(&self, events: &[Pdu], outliers: &[Pdu]) -> Result<Vec<Receipted>, MatrixError> {
        self.ask(Scene::receiving(events, outliers))
    }

    pub(crate) fn take(&self, events: &[Pdu]) -> Vec<String> {
        results(&self.receive(events, &[]).unwrap())
    }

    /// How many statements something took.
    pub(crate) fn statements<T>(&self, what: impl FnOnce() -> T) -> (T, u64) {
        let before = self.host.sqlite.statements();
        let value = what();
        (value, self.host.sqlite.statements() - before)
    }

    pub(crate) fn extremities(&self) -> Vec<OwnedEventId> {
        // The head's row is behind where the newest event is the only extremity.
        let sql = "SELECT CASE WHEN h.newest < e.seq THEN json_array(e.event_id) ELSE h.extremities END
            FROM head h, events e ORDER BY e.seq DESC LIMIT 1";
        let rows = self.host.sqlite.query(sql, &[]).unwrap();
        serde_json::from_str(rows[0].text(0).unwrap()).unwrap()
    }

    /// So many messages, then enough time that old ones are trimmed.
    pub(crate) fn pass_messages(&self, count: u64) {
        for number in 0..count {
            self.ask(Self::command(ALICE, "filler", &format!("{}.{number}", self.host.sqlite.statements()))).unwrap();
        }
        self.host.settle();
        self.ring_until_silent();
        self.host.clock.advance(60 * 60 * 1000);
    }
}
