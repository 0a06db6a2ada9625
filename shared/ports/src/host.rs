//! What the host of a flow offers besides storage and transport.

use std::future::Future;

use futures::future::LocalBoxFuture;
use tern_model::Millis;

use crate::{Outbound, Sql, Transport};

/// Reads the time. The only way to do so.
pub trait Clock {
    /// Now.
    fn now(&self) -> Millis;
}

/// Gives random bytes. The only way to get them.
pub trait Entropy {
    /// Fills `bytes` with bytes from a cryptographic source.
    fn fill(&self, bytes: &mut [u8]);
}

/// Reads text in the encodings of the web.
pub trait Charsets {
    /// The text in `bytes`, whatever is malformed replaced; `None` for a label that stands for no encoding (Encoding
    /// Standard, "Labels").
    fn decode(&self, label: &str, bytes: &[u8]) -> Option<String>;
}

/// Runs work after the reply. Best effort: whatever must happen is also resumed by an alarm.
pub trait Spawn {
    /// Starts `work`; the host keeps it alive for up to 30 s.
    fn spawn(&self, work: LocalBoxFuture<'static, ()>);

    /// Resolves when what is ready to leave has left and what is ready to be taken in was taken in.
    fn yield_now(&self) -> impl Future<Output = ()>;

    /// Resolves after `ms` milliseconds. Keeps an object in memory meanwhile: only for one that waits for an answer anyway.
    fn sleep(&self, ms: u64) -> impl Future<Output = ()>;
}

/// A waiting poll as its hub's host remembers it, also while the hub is out of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// The device that asks.
    pub device_id: String,
    /// What wakes it: bits of `tern_model::news`.
    pub kinds: u32,
    /// What it asks: a command frame. Absent when it is too long to remember; the poll then asks again when there is news.
    pub question: Option<Vec<u8>>,
}

/// Waiting polls in a user's hub.
pub trait WaitingPolls {
    /// The way back to one waiting poll.
    type PollSocket: 'static;

    /// Takes the polls that wait for one of `kinds` (bits of `tern_model::news`), of `device_id` only when one is given.
    /// Each is then kept or answered; until then nobody else can take it.
    fn take(&self, device_id: Option<&str>, kinds: u32) -> Vec<(Self::PollSocket, Attachment)>;

    /// Holds a poll that was taken for nothing again.
    fn keep(&self, poll_socket: Self::PollSocket, attachment: Attachment);

    /// Ends a poll with a reply frame, or with the request that it asks again.
    fn answer(&self, poll_socket: Self::PollSocket, reply: Option<Vec<u8>>);

    /// How many polls wait now.
    fn waiting_polls(&self) -> u64;
}

/// Everything that a Durable Object gives to the actor in it.
pub trait ObjectHost: Clock + Entropy + Outbound + Spawn + Transport + 'static {
    /// The object's own SQLite.
    type Sql: Sql;

    /// The object's own SQLite.
    fn sql(&self) -> &Self::Sql;

    /// Resolves when everything written so far is durable. Requests that arrive meanwhile are committed as one group.
    fn synced(&self) -> impl Future<Output = ()>;

    /// Asks for `alarm` to be called at `at` or later; replaces an earlier request.
    fn set_alarm(&self, at: Millis) -> impl Future<Output = ()>;
}
