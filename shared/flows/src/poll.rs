//! The long poll itself, run in the proxy worker: ask, park, wake or time out, ask again.
//!
//! The hub never waits. It answers at once or parks the question's socket, and may then sleep; a wake only says that
//! asking again is worth it. So nothing can be lost here: a missed wake costs time, a needless one costs a question.

use futures::future::{Either, select};
use ruma::UserId;
use std::pin::pin;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Clock, Parked, PollReply, Polls,
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

/// What one question brought.
enum Step<S> {
    Answer(RawJson),
    Parked(S),
    Nothing,
    Failed,
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
) -> Result<RawJson, MatrixError> {
    let deadline = clock.now().plus(timeout_ms.min(LONGEST_WAIT_MS));
    let left = || deadline.since(clock.now());
    let mut failures = 0;
    let mut wakes = 0;
    let mut may_wait = left() > 0;
    loop {
        match ask(polls, user_id, &question(may_wait)).await? {
            Step::Answer(answer) => return Ok(answer),
            Step::Failed => {
                failures += 1;
                if failures >= MAX_FAILURES {
                    return Err(MatrixError::unavailable());
                }
                polls.sleep(back_off(failures)).await;
            }
            Step::Parked(socket) if may_wait => {
                failures = 0;
                wakes += 1;
                may_wait = woken_in_time(polls, socket, left()).await;
                if may_wait && wakes > FREE_WAKES {
                    polls.sleep(back_off(wakes - FREE_WAKES).min(left())).await;
                }
            }
            // Asked without a wait, the hub always answers.
            Step::Parked(_) | Step::Nothing if !may_wait => return Err(MatrixError::internal()),
            // There is something that the hub cannot get at just now.
            Step::Parked(_) | Step::Nothing => polls.sleep(LONGEST_BACK_OFF_MS.min(left())).await,
        }
        may_wait = may_wait && deadline > clock.now();
    }
}

async fn ask<P: Polls>(polls: &P, user_id: &UserId, question: &UserCommand) -> Result<Step<P::Socket>, MatrixError> {
    Ok(match polls.ask(user_id, frame::write(question)).await {
        Ok(PollReply::Answer(reply)) => match frame::read_reply::<SyncStep>(&reply)? {
            SyncStep::Answer(answer) => Step::Answer(answer),
            SyncStep::Wait { .. } => Step::Nothing,
        },
        Ok(PollReply::Parked(socket)) => Step::Parked(socket),
        Err(_) => Step::Failed,
    })
}

/// Waits for the wake, and says whether it came before the time was over.
async fn woken_in_time<P: Polls>(polls: &P, mut socket: P::Socket, left: u64) -> bool {
    let woken = pin!(socket.woken());
    let timer = pin!(polls.sleep(left));
    matches!(select(woken, timer).await, Either::Left(_))
}

/// The pause after the `nth` event that calls for one.
const fn back_off(nth: u32) -> u64 {
    let doublings = if nth > 6 { 6 } else { nth.saturating_sub(1) };
    let ms = BACK_OFF_MS << doublings;
    if ms < LONGEST_BACK_OFF_MS { ms } else { LONGEST_BACK_OFF_MS }
}
