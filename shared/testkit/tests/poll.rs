//! The long poll, against a hub that follows a script.

#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

use std::{
    cell::{Cell, RefCell},
    collections::VecDeque,
    future::{Future, poll_fn},
    rc::Rc,
    task::{Poll, Waker},
};

use ruma::{UserId, user_id};
use tern_edge::poll::{LONGEST_WAIT_MS, Polled, long_poll};
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    Clock as _, PollReply, Polls, Unreachable, WaitingPoll,
    wire::{
        UserCommand, frame,
        user::{SessionRef, SlidingSync, SyncStep},
    },
};
use tern_testkit::{Executor, TestClock};

/// What the hub does with the next question.
enum ScriptStep {
    Answer(&'static str),
    Refuse(MatrixError),
    /// Holds it, and wakes it after so many milliseconds, if ever; with an empty answer when it may not wait.
    Hold(Option<u64>),
    /// Holds it with an answer for the end of the time, and answers it after so many milliseconds.
    HoldFor(u64, Result<SyncStep, MatrixError>),
    /// Says "nothing yet" without parking.
    Nothing,
    Lose,
}

#[derive(Default)]
struct Timers {
    waiting: RefCell<Vec<(Millis, Waker)>>,
}

struct Hub {
    clock: TestClock,
    timers: Rc<Timers>,
    script: RefCell<VecDeque<ScriptStep>>,
    /// `may_wait` of each question, and when it came.
    asked: RefCell<Vec<(bool, u64)>>,
    held: Rc<Cell<usize>>,
}

impl Hub {
    fn new(script: impl IntoIterator<Item = ScriptStep>) -> Self {
        Self {
            clock: TestClock::default(),
            timers: Rc::default(),
            script: RefCell::new(script.into_iter().collect()),
            asked: RefCell::default(),
            held: Rc::default(),
        }
    }

    fn until(&self, at: Millis) -> impl Future<Output = ()> + use<> {
        let (clock, timers) = (self.clock.clone(), Rc::clone(&self.timers));
        poll_fn(move |context| {
            if clock.now() >= at {
                return Poll::Ready(());
            }
            timers.waiting.borrow_mut().push((at, context.waker().clone()));
            Poll::Pending
        })
    }

    fn elapsed(&self) -> u64 {
        self.clock.now().since(TestClock::START)
    }

    /// Runs a poll, moving time on whenever nobody can go on.
    fn poll(&self, timeout_ms: u64) -> Result<RawJson, MatrixError> {
        self.polled(timeout_ms).map(|polled| polled.body)
    }

    fn polled(&self, timeout_ms: u64) -> Result<Polled, MatrixError> {
        let user_id = user_id!("@a:x");
        let poll = long_poll(self, &self.clock, user_id, question, timeout_ms);
        Executor::new().run_with(poll, || {
            let waiting = self.timers.waiting.take();
            let Some(next) = waiting.iter().map(|(at, _)| *at).min() else { return false };
            self.clock.advance_to(next);
            for (_, waker) in waiting {
                waker.wake();
            }
            true
        })
    }
}

fn question(may_wait: bool) -> UserCommand {
    let session = SessionRef { device_id: "D".into(), session_id: "s".to_owned() };
    SlidingSync { session, body: RawJson::empty_object(), pos: None, stable: false, may_wait, presence: None }.into()
}

fn answer(text: &str) -> RawJson {
    RawJson::from_value(&text).unwrap()
}

struct Socket {
    wake: std::pin::Pin<Box<dyn Future<Output = ()>>>,
    reply: Option<Vec<u8>>,
    held: Rc<Cell<usize>>,
}

impl Drop for Socket {
    fn drop(&mut self) {
        self.held.set(self.held.get() - 1);
    }
}

impl WaitingPoll for Socket {
    async fn woken(&mut self) -> Option<Vec<u8>> {
        self.wake.as_mut().await;
        self.reply.take()
    }
}

impl Polls for Hub {
    type Socket = Socket;

    async fn ask(&self, _: &UserId, bytes: Vec<u8>) -> Result<PollReply<Socket>, Unreachable> {
        let UserCommand::SlidingSync(command) = frame::read(&bytes).unwrap() else { panic!("not a sync") };
        self.asked.borrow_mut().push((command.may_wait, self.elapsed()));
        let reply = |step: Result<SyncStep, MatrixError>| Ok(PollReply::Answer(frame::write_reply(&step)));
        let step = self.script.borrow_mut().pop_front();
        match step.unwrap_or_else(|| panic!("a question too many")) {
            ScriptStep::Answer(body) => reply(Ok(SyncStep::Answer(RawJson::parse(body.to_owned()).unwrap()))),
            ScriptStep::Refuse(error) => reply(Err(error)),
            ScriptStep::Nothing => reply(Ok(SyncStep::Wait { kinds: 1 })),
            ScriptStep::Lose => Err(Unreachable("lost".to_owned())),
            ScriptStep::Hold(_) if !command.may_wait => reply(Ok(SyncStep::Answer(RawJson::empty_object()))),
            ScriptStep::Hold(after) => {
                self.held.set(self.held.get() + 1);
                let wake = Box::pin(self.until(after.map_or(Millis(u64::MAX), |ms| self.clock.now().plus(ms))));
                let socket = Socket { wake, reply: None, held: Rc::clone(&self.held) };
                Ok(PollReply::Waiting { socket, timeout_response: None })
            }
            ScriptStep::HoldFor(ms, step) => {
                self.held.set(self.held.get() + 1);
                let wake = Box::pin(self.until(self.clock.now().plus(ms)));
                let socket = Socket { wake, reply: Some(frame::write_reply(&step)), held: Rc::clone(&self.held) };
                Ok(PollReply::Waiting { socket, timeout_response: Some(answer("quiet")) })
            }
        }
    }

    async fn sleep(&self, ms: u64) {
        self.until(self.clock.now().plus(ms)).await;
    }
}

#[test]
fn an_answer_comes_at_once_and_without_a_timeout_nothing_may_wait() {
    let hub = Hub::new([ScriptStep::Answer("1")]);
    assert_eq!(hub.poll(0).unwrap().text(), "1");
    assert_eq!(*hub.asked.borrow(), [(false, 0)]);
}

#[test]
fn a_wake_brings_the_answer_in_the_same_poll() {
    let hub = Hub::new([ScriptStep::Hold(Some(700)), ScriptStep::Answer("2")]);
    assert_eq!(hub.poll(10_000).unwrap().text(), "2");
    assert_eq!(*hub.asked.borrow(), [(true, 0), (true, 700)]);
    assert_eq!(hub.held.get(), 0, "the socket is closed");
}

#[test]
fn a_parked_question_is_answered_without_being_asked_again() {
    let hub = Hub::new([ScriptStep::HoldFor(700, Ok(SyncStep::Answer(answer("news"))))]);
    let polled = hub.polled(10_000).unwrap();
    assert_eq!((polled.body.text(), polled.confirmed.since(TestClock::START)), ("\"news\"", 700));
    assert_eq!(*hub.asked.borrow(), [(true, 0)], "one question");
    let hub = Hub::new([ScriptStep::HoldFor(700, Err(MatrixError::unknown_token(false)))]);
    assert_eq!(hub.poll(10_000).unwrap_err().errcode, "M_UNKNOWN_TOKEN");
    let hub = Hub::new([ScriptStep::HoldFor(700, Ok(SyncStep::Wait { kinds: 1 })), ScriptStep::Answer("5")]);
    assert_eq!(hub.poll(10_000).unwrap().text(), "5");
    assert_eq!(*hub.asked.borrow(), [(true, 0), (true, 1_700)], "what cannot be read now is asked for a little later");
}

#[test]
fn if_nothing_comes_in_time_the_answer_is_known_already() {
    let hub = Hub::new([ScriptStep::HoldFor(20_000, Ok(SyncStep::Answer(answer("late"))))]);
    let polled = hub.polled(10_000).unwrap();
    assert_eq!(polled.body.text(), "\"quiet\"");
    assert_eq!(polled.confirmed, TestClock::START, "the session was looked at when the question was parked");
    assert_eq!((hub.elapsed(), hub.asked.borrow().len(), hub.held.get()), (10_000, 1, 0));
}

#[test]
fn at_the_end_of_the_time_it_asks_once_more_without_waiting() {
    let hub = Hub::new([ScriptStep::Hold(None), ScriptStep::Answer("{}")]);
    assert_eq!(hub.poll(10_000).unwrap().text(), "{}");
    assert_eq!(*hub.asked.borrow(), [(true, 0), (false, 10_000)]);
    let hub = Hub::new([ScriptStep::Hold(None), ScriptStep::Answer("{}")]);
    hub.poll(u64::MAX).unwrap();
    assert_eq!(*hub.asked.borrow(), [(true, 0), (false, LONGEST_WAIT_MS)], "however long the client wants to wait");
}

#[test]
fn needless_wakes_do_not_lengthen_it_and_are_slowed_down() {
    let hub = Hub::new((0..400).map(|_| ScriptStep::Hold(Some(0))));
    assert_eq!(hub.poll(2_000).unwrap().text(), "{}");
    let asked = hub.asked.borrow();
    assert!(asked.len() < 20, "{} questions", asked.len());
    assert!(!asked.last().unwrap().0, "the last question may not wait");
    assert!(hub.elapsed() <= 2_000);
}

#[test]
fn a_hub_that_cannot_be_reached_is_asked_again_a_few_times() {
    let hub = Hub::new([ScriptStep::Lose, ScriptStep::Lose, ScriptStep::Answer("3")]);
    assert_eq!(hub.poll(0).unwrap().text(), "3");
    let hub = Hub::new((0..5).map(|_| ScriptStep::Lose));
    assert_eq!(hub.poll(30_000).unwrap_err().status, 503);
    assert!(hub.elapsed() < 1_000);
}

#[test]
fn a_refusal_ends_it() {
    let hub = Hub::new([ScriptStep::Hold(Some(5)), ScriptStep::Refuse(MatrixError::unknown_token(false))]);
    assert_eq!(hub.poll(9_000).unwrap_err().errcode, "M_UNKNOWN_TOKEN");
}

#[test]
fn a_hub_that_has_nothing_yet_but_does_not_park_is_asked_again_soon() {
    let hub = Hub::new([ScriptStep::Nothing, ScriptStep::Nothing, ScriptStep::Answer("4")]);
    assert_eq!(hub.poll(30_000).unwrap().text(), "4");
    assert_eq!(*hub.asked.borrow(), [(true, 0), (true, 1_000), (true, 2_000)]);
}
