//! To-device messages: once, in order, refused when there are too many, and never dropped.

use std::{
    cell::RefCell,
    collections::{BTreeMap, VecDeque},
    rc::Rc,
};

use serde_json::{Value, json};
use tern_model::{BoundedJson, MatrixError, Name, RawJson};
use tern_ports::{
    Sql,
    outbound::HttpError,
    wire::{
        Done,
        destination::{DestinationProbe, ProbeDestination, SendToDevice},
        frame,
    },
};
use tern_testkit::{peer::Peer, web::Page};

use crate::support::{DAY, NEVER, NOW, Scene};

const KEYS: &str = "https://a.org:8448/_matrix/key/v2/server";
const SEND: &str = "/_matrix/federation/v1/send/";
const ALICE: &str = "@alice:tern.test";
const MINUTE: u64 = 60_000;

type Sent = Rc<RefCell<Vec<(String, Vec<Value>)>>>;

struct Play {
    scene: Scene,
    /// The transactions that reached the server: id, and the contents of the EDUs.
    sent: Sent,
    answers: Rc<RefCell<VecDeque<Result<Page, HttpError>>>>,
}

fn page(status: u16) -> Page {
    Page { status, ..Page::of("application/json", "{}") }
}

impl Play {
    fn new() -> Self {
        let keys = Peer::new("a.org", "ed25519:1", 1).keys(NOW.plus(DAY), &BTreeMap::new());
        let scene = Scene::new("a.org", vec![(KEYS, Page::of("application/json", keys))], &[]);
        let (sent, answers) = (Sent::default(), Rc::<RefCell<VecDeque<_>>>::default());
        let (heard, script) = (Rc::clone(&sent), Rc::clone(&answers));
        scene.peer(move |request| {
            let id = request.url.path().strip_prefix(SEND)?.to_owned();
            let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
            let edus = body["edus"].as_array().unwrap().iter();
            assert_eq!(body["pdus"], json!([]));
            let contents = edus.map(|edu| {
                assert_eq!(edu["edu_type"], "m.direct_to_device");
                edu["content"].clone()
            });
            heard.borrow_mut().push((id, contents.collect()));
            Some(script.borrow_mut().pop_front().unwrap_or_else(|| Ok(page(200))))
        });
        Self { scene, sent, answers }
    }

    fn answers(&self, answers: impl IntoIterator<Item = Result<Page, HttpError>>) {
        self.answers.borrow_mut().extend(answers);
    }

    fn send_as(&self, sender: &str, id: &str, messages: &Value) -> Result<Done, MatrixError> {
        let ask = SendToDevice {
            sender: sender.try_into().unwrap(),
            kind: Name::cut("m.x"),
            message_id: id.try_into().unwrap(),
            messages: BoundedJson::new(RawJson::from_value(messages).unwrap()).unwrap(),
        };
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ask.into()));
        self.scene.host.executor.settle();
        frame::read_reply(&reply)
    }

    fn send(&self, id: u32) -> Result<Done, MatrixError> {
        self.send_as(ALICE, &id.to_string(), &json!({ "@eve:a.org": { "D": { "n": id } } }))
    }

    /// Ids of messages in the transactions since this was last asked.
    fn take(&self) -> Vec<Vec<String>> {
        let sent = self.sent.take().into_iter();
        let ids = |contents: Vec<Value>| {
            contents.iter().map(|content| content["message_id"].as_str().unwrap().to_owned()).collect()
        };
        sent.map(|(_, contents)| ids(contents)).collect()
    }

    fn probe(&self) -> DestinationProbe {
        let reply = self.scene.host.executor.run(self.scene.actor.handle(ProbeDestination {}.into()));
        frame::read_reply(&reply).unwrap()
    }
}

fn ids(range: std::ops::RangeInclusive<u32>) -> Vec<String> {
    range.map(|id| format!("{id}-0")).collect()
}

#[test]
fn messages_arrive_once_in_order_however_often_they_are_handed_over() {
    let mut play = Play::new();
    play.send(1).unwrap();
    assert_eq!(
        play.sent.borrow()[0].1,
        [
            json!({ "sender": ALICE, "type": "m.x", "message_id": "1-0", "messages": { "@eve:a.org": { "D": { "n": 1 } } } })
        ]
    );
    assert_eq!(play.take(), [ids(1..=1)]);
    // It hangs up, this object loses its memory while a transaction is on its way, and clients repeat their requests.
    play.answers([Ok(page(500)), Err(NEVER)]);
    for id in [2, 2, 3, 2] {
        play.send(id).unwrap();
    }
    play.scene.pass(MINUTE);
    play.scene.crash();
    play.send(3).unwrap();
    play.send(4).unwrap();
    play.scene.pass(MINUTE);
    let transactions: Vec<_> = play.sent.borrow().iter().map(|(id, _)| id.clone()).collect();
    assert!(transactions[0] == transactions[1] && transactions[1] == transactions[2], "{transactions:?}");
    assert_eq!(play.take(), [ids(2..=2), ids(2..=2), ids(2..=2), ids(3..=3), ids(4..=4)]);
    play.scene.pass(DAY);
    assert_eq!((play.take(), play.probe(), play.scene.host.alarm.get()), (vec![], DestinationProbe::default(), None));
}

#[test]
fn what_has_an_answer_is_durable_and_what_is_too_much_is_refused() {
    let mut play = Play::new();
    play.answers((0..20).map(|_| Ok(page(503))));
    for id in 1..=2_000 {
        play.send(id).unwrap();
    }
    let refused = play.send(2_001).unwrap_err();
    assert_eq!((refused.status, &*refused.errcode), (429, "M_LIMIT_EXCEEDED"));
    play.send_as("@bob:tern.test", "b", &json!({ "@eve:a.org": { "*": {} } })).unwrap();
    play.scene.crash();
    assert_eq!(play.probe().to_device, 2_001);
    play.take();
    play.answers.borrow_mut().clear();
    play.scene.pass(DAY);
    let (sent, mut expected) = (play.take(), ids(1..=2_000));
    expected.push("b-0".to_owned());
    assert_eq!(sent.concat().len(), expected.len());
    assert_eq!(sent.concat(), expected);
    assert!(sent.iter().all(|edus| edus.len() <= 100));
    assert!(play.send(2_001).is_ok(), "there is room again");
}

#[test]
fn long_messages_go_in_parts_and_one_that_no_device_would_be_sent_is_refused() {
    let play = Play::new();
    let padding = "x".repeat(20_000);
    let devices: BTreeMap<String, Value> = (0..7).map(|at| (format!("D{at}"), json!({ "p": padding }))).collect();
    play.send_as(ALICE, "m", &json!({ "@a:a.org": devices, "@b:a.org": { "*": { "p": padding } } })).unwrap();
    let sent = play.sent.take();
    let parts: Vec<_> = sent.iter().flat_map(|(_, contents)| contents).collect();
    let names: Vec<_> = parts.iter().map(|part| part["message_id"].as_str().unwrap()).collect();
    assert_eq!(names, ["m-0", "m-1", "m-2", "m-3"]);
    let of_a = |part: &&Value| part["messages"]["@a:a.org"].as_object().map_or(0, serde_json::Map::len);
    assert_eq!(parts.iter().map(of_a).collect::<Vec<_>>(), [2, 2, 2, 1]);
    assert_eq!(parts[3]["messages"]["@b:a.org"]["*"]["p"], padding);
    let long = json!({ "@a:a.org": { "D": { "p": "x".repeat(140_000) } } });
    assert_eq!(play.send_as(ALICE, "l", &long).unwrap_err().errcode, "M_TOO_LARGE");
}

#[test]
fn a_message_that_the_server_will_not_have_does_not_hold_up_the_others() {
    let play = Play::new();
    play.answers([Ok(page(503))]);
    for id in 1..=20 {
        play.send(id).unwrap();
    }
    let (sent, poison) = (Rc::clone(&play.sent), "7-0");
    play.scene.peer(move |request| {
        let body: Value = serde_json::from_slice(request.body.as_deref().unwrap()).unwrap();
        let contents: Vec<_> = body["edus"].as_array().unwrap().iter().map(|edu| edu["content"].clone()).collect();
        let refused = contents.iter().any(|content| content["message_id"] == poison);
        if !refused {
            sent.borrow_mut().push((String::new(), contents));
        }
        Some(Ok(page(if refused { 413 } else { 200 })))
    });
    play.take();
    play.scene.pass(60 * MINUTE);
    let expected: Vec<_> = ids(1..=20).into_iter().filter(|id| id != poison).collect();
    assert_eq!((play.take().concat(), play.probe().refused), (expected, 1));
}

#[test]
fn a_name_that_nobody_has_leaves_nothing_here() {
    let scene = Scene::new("a.org", Vec::new(), &[]);
    let play = Play { scene, sent: Sent::default(), answers: Rc::default() };
    assert_eq!(play.send(1).unwrap_err().errcode, "M_UNREACHABLE");
    assert!(play.scene.host.sqlite.query("SELECT 1 FROM sqlite_master", &[]).unwrap().is_empty());
}
