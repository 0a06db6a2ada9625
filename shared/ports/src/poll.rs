//! Waiting for news in the proxy worker while the user's hub may sleep.

use std::future::Future;

use ruma::UserId;

use tern_model::RawJson;

use crate::Unreachable;

/// What a hub said to a poll.
pub enum PollReply<S> {
    /// Answered; a reply frame.
    Answer(Vec<u8>),
    /// Nothing yet: the socket is parked.
    Parked {
        /// Where the answer will come.
        socket: S,
        /// The answer if none comes in time.
        quiet: Option<RawJson>,
    },
}

/// A parked socket.
pub trait Parked {
    /// Resolves with the hub's reply frame; with nothing when the hub wants to be asked again, or when the socket broke.
    fn woken(&mut self) -> impl Future<Output = Option<Vec<u8>>>;
}

/// Asking a user's hub in a way that lets it park the question.
pub trait Polls {
    /// The parked socket.
    type Socket: Parked;

    /// Sends a sync command; the hub answers or parks.
    fn ask(
        &self,
        user_id: &UserId,
        frame: Vec<u8>,
    ) -> impl Future<Output = Result<PollReply<Self::Socket>, Unreachable>>;

    /// Resolves after `ms` milliseconds, in the worker, where waiting is free.
    fn sleep(&self, ms: u64) -> impl Future<Output = ()>;
}
