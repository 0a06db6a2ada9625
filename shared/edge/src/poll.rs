//! The long poll itself, run in the proxy worker: ask, wait for the answer or the end of the time.
//!
//! The hub never waits. It answers at once or holds the question, and may then sleep; when there is news it answers the
//! waiting question, or wakes the poll so that it asks again. It also says what the answer is if nothing comes in time.
//! So a poll is one question, and nothing can be lost here: a lost answer is given again to the next poll.

use futures::future::{Either, select};
use ruma::UserId;
use std::pin::pin;
use tern_model::{MatrixError, Millis, RawJson};
use tern_ports::{
    Clock, PollReply, Polls, WaitingPoll,
    wire::{UserCommand, frame, user::SyncStep},
};

/// The longest wait in milliseconds, whatever the client asks for: shorter than the patience of proxies on the way.
pub const LONGEST_WAIT_MS: u64 = 30_000;

/// Questions in a row that may fail before the poll fails.
const MAX_FAILURES: u32 = 5;
/// The first pause after a failure or a needless wake; doubles with each further one.
const BACK_OFF_MS: u64 = 20;
/// The longest such pause.
const LONGEST_BACK_OFF_MS: u64 = 1_000;
/// Wakes in a row without an answer that are taken as they come; a hub that wakes more often is asked more slowly.
const FREE_WAKES: u32 = 3;

/// Confirms nothing.
const NEVER: Millis = Millis(0);

/// What came of a poll.
#[derive(Debug)]
pub struct Polled {
    /// The response body.
    pub body: RawJson,
    /// When the hub last looked at the session: it was open then. Never, for a session that is only good for reading.
    pub confirmed: Millis,
}

/// What one question brought.
enum Step<S> {
    Answer(RawJson),
    AnswerSuspended(RawJson),
    Waiting(S, Option<RawJson>),
    Nothing,
    Failed,
}

/// How the wait in a waiting socket ended.
enum Wake {
    Reply(Vec<u8>),
    News,
    Late,
}

/// Runs one long poll of `user_id` for up to `timeout_ms`. `question(may_wait)` builds the sync command.
///
/// # Errors
/// The hub's own error, or 503 when it cannot be reached.
pub async fn long_poll<P: Polls>(
    polls: &P,
    clock: &impl Clock,
    user_id: &UserId,
    question: impl Fn(bool) -> UserCommand,
    timeout_ms: u64,
) -> Result<Polled, MatrixError> {
    let deadline = clock.now().plus(timeout_ms.min(LONGEST_WAIT_MS));
    let left = || deadline.since(clock.now());
    let mut failures = 0;
    let mut wakes = 0;
    let mut may_wait = left() > 0;
    loop {
        let confirmed = clock.now();
        match ask(polls, user_id, &question(may_wait)).await? {
            Step::Answer(body) => return Ok(Polled { body, confirmed }),
            Step::AnswerSuspended(body) => return Ok(Polled { body, confirmed: NEVER }),
            Step::Failed => {
                failures += 1;
                if failures >= MAX_FAILURES {
                    return Err(MatrixError::unavailable());
                }
                polls.sleep(back_off(failures)).await;
            }
            Step::Waiting(socket, timeout_response) if may_wait => {
                failures = 0;
                wakes += 1;
                match (wait(polls, socket, left()).await, timeout_response) {
                    (Wake::Late, Some(body)) => return Ok(Polled { body, confirmed }),
                    (Wake::Late, None) => may_wait = false,
                    (Wake::Reply(reply), _) => match frame::read_reply(&reply)? {
                        SyncStep::Answer(body) => return Ok(Polled { body, confirmed: clock.now() }),
                        SyncStep::AnswerSuspended(body) => return Ok(Polled { body, confirmed: NEVER }),
                        SyncStep::Wait { .. } => polls.sleep(LONGEST_BACK_OFF_MS.min(left())).await,
                    },
                    (Wake::News, _) if wakes > FREE_WAKES => {
                        polls.sleep(back_off(wakes - FREE_WAKES).min(left())).await;
                    }
                    (Wake::News, _) => {}
                }
            }
            // Asked without a wait, the hub always answers.
            Step::Waiting(..) | Step::Nothing if !may_wait => return Err(MatrixError::internal()),
            // There is something that the hub cannot get at just now.
            Step::Waiting(..) | Step::Nothing => polls.sleep(LONGEST_BACK_OFF_MS.min(left())).await,
        }
        may_wait = may_wait && deadline > clock.now();
    }
}

async fn ask<P: Polls>(polls: &P, user_id: &UserId, question: &UserCommand) -> Result<Step<P::Socket>, MatrixError> {
    Ok(match polls.ask(user_id, frame::write(question)).await {
        Ok(PollReply::Answer(reply)) => match frame::read_reply::<SyncStep>(&reply)? {
            SyncStep::Answer(answer) => Step::Answer(answer),
            SyncStep::AnswerSuspended(answer) => Step::AnswerSuspended(answer),
            SyncStep::Wait { .. } => Step::Nothing,
        },
        Ok(PollReply::Waiting { socket, timeout_response }) => Step::Waiting(socket, timeout_response),
        Err(_) => Step::Failed,
    })
}

/// Waits for the answer, for as long as there is time.
async fn wait<P: Polls>(polls: &P, mut socket: P::Socket, left: u64) -> Wake {
    let woken = pin!(socket.woken());
    let timer = pin!(polls.sleep(left));
    match select(woken, timer).await {
        Either::Left((Some(reply), _)) => Wake::Reply(reply),
        Either::Left((None, _)) => Wake::News,
        Either::Right(_) => Wake::Late,
    }
}

/// The pause after the `nth` event that calls for one.
const fn back_off(nth: u32) -> u64 {
    let doublings = if nth > 6 { 6 } else { nth.saturating_sub(1) };
    let ms = BACK_OFF_MS << doublings;
    if ms < LONGEST_BACK_OFF_MS { ms } else { LONGEST_BACK_OFF_MS }
}
