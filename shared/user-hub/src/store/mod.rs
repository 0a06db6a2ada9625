//! SQL of the user's hub, by concern. Functions here read and write; they decide nothing.

pub(super) mod account_data;
pub(super) mod connections;
pub(super) mod devices;
pub(super) mod facts;
pub(super) mod filters;
pub(super) mod grants;
pub(super) mod hub;
pub(super) mod inbox;
pub(super) mod inbox_bytes;
pub(super) mod keys;
pub(super) mod outside_invites;
pub(super) mod places;
pub(super) mod profile;
pub(super) mod publication;
pub(super) mod pushers;
pub(super) mod receipts;
pub(super) mod recent;
pub(super) mod resolved;
pub(super) mod rooms;
pub(super) mod shared_users;
pub(super) mod sticky;
pub(super) mod subscription;
pub(super) mod threads;
pub(super) mod to_device;
pub(super) mod unread;
pub(super) mod upgraded;

use tern_model::StreamPos;
use tern_ports::Value;

/// Positions of the user's stream after `after`, up to and including `until`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) after: StreamPos,
    pub(super) until: StreamPos,
}

impl Span {
    /// For `pos > ? AND pos <= ?`.
    fn params(self) -> [Value; 2] {
        [self.after.0.into(), self.until.0.into()]
    }
}
