//! Waiting for news in the proxy worker while the user's hub may sleep.

use std::future::Future;

use ruma::UserId;

use tern_model::RawJson;

use crate::Unreachable;

/// What a hub said to a poll.
pub enum PollReply<S> {
    /// Answered; a reply frame.
    Answer(Vec<u8>),
    /// Nothing yet: the socket waits.
    Waiting {
        /// Where the answer will come.
        socket: S,
        /// The answer if none comes in time.
        timeout_response: Option<RawJson>,
    },
}

/// A waiting socket.
pub trait WaitingPoll {
    /// Resolves with the hub's reply frame; with nothing when the hub wants to be asked again, or when the socket broke.
    fn woken(&mut self) -> impl Future<Output = Option<Vec<u8>>>;
}

/// Asking a user's hub in a way that lets it hold the question.
pub trait Polls {
    /// The waiting socket.
    type Socket: WaitingPoll;

    /// Sends a sync command; the hub answers or holds it.
    fn ask(
        &self,
        user_id: &UserId,
        frame: Vec<u8>,
    ) -> impl Future<Output = Result<PollReply<Self::Socket>, Unreachable>>;

    /// Resolves after `ms` milliseconds, in the worker, where waiting is free.
    fn sleep(&self, ms: u64) -> impl Future<Output = ()>;
}
