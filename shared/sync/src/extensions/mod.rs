//! Extensions: one file each. Each writes its part only when it has something to say.

mod account_data;
mod e2ee;
mod receipts;
mod sent;
mod sticky;
mod threads;
mod to_device;
mod typing;

use std::collections::BTreeMap;

use ruma::{OwnedRoomId, RoomId};
use tern_model::StreamPos;

pub(crate) use account_data::event;
pub use e2ee::ONE_TIME_ALGORITHM;
pub(crate) use e2ee::{write_device_lists, write_keys};
pub(crate) use receipts::content as receipt_content;
pub(crate) use sent::ExtensionsSentState;
use sent::ScopeSentState;
pub use threads::{ThreadRange, thread_page};
pub(crate) use typing::content as typing_content;

use crate::hash::fingerprint;
use crate::json::Object;
use crate::list::in_scope;
use crate::memory::Memory;
use crate::request::{Request, Scope};
use crate::room::Shown;
use crate::view::UserView;

/// What extensions had to say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spoken {
    /// Nothing.
    Nothing,
    /// Who types, in a scope that the client was told of before.
    Typing,
    /// More than that.
    More,
}

/// What extensions read.
pub(crate) struct Known<'a> {
    pub(crate) memory: &'a Memory<'a>,
    /// Rooms in this answer.
    pub(crate) shown: &'a BTreeMap<OwnedRoomId, Shown>,
    pub(crate) request: &'a Request,
    pub(crate) view: &'a dyn UserView,
    /// Position of the answer.
    pub(crate) at: StreamPos,
    /// It is the connection's first answer.
    pub(crate) first: bool,
}

impl Known<'_> {
    /// The client knows the room, and the extension speaks of it.
    fn covers(&self, scope: &Scope, room_id: &RoomId) -> bool {
        (self.shown.contains_key(room_id) || self.memory.knows(room_id))
            && in_scope(scope, self.request, self.view, room_id)
    }

    /// Rooms that are new to the client with this answer and that the extension speaks of.
    fn initial<'a>(&'a self, scope: &'a Scope) -> impl Iterator<Item = (&'a OwnedRoomId, &'a Shown)> + 'a {
        self.shown.iter().filter(|(room_id, shown)| shown.initial && in_scope(scope, self.request, self.view, room_id))
    }

    /// What `changes` tells of rooms that the client knew before.
    fn of_known_rooms<T>(
        &self,
        scope: &Scope,
        changes: impl FnOnce() -> Vec<(OwnedRoomId, T)>,
    ) -> Vec<(OwnedRoomId, T)> {
        if self.first {
            return Vec::new();
        }
        let mut changes = changes();
        let is_initial = |room_id: &RoomId| self.shown.get(room_id).is_some_and(|shown| shown.initial);
        changes.retain(|(room_id, _)| !is_initial(room_id) && self.covers(scope, room_id));
        changes
    }

    /// Where an extension goes on: nowhere when it is new or speaks of other rooms than before.
    fn since(scope: &Scope, sent: Option<&ScopeSentState>) -> Option<StreamPos> {
        sent.filter(|sent| sent.scope == fingerprint(scope)).map(|sent| sent.at)
    }

    fn sent(&self, scope: &Scope) -> ScopeSentState {
        ScopeSentState { at: self.at, scope: fingerprint(scope) }
    }
}

/// Writes `extensions` and returns what the client then knows.
pub(crate) fn write(
    out: &mut Object<'_>,
    known: &Known<'_>,
    before: &ExtensionsSentState,
) -> (ExtensionsSentState, Spoken) {
    let mut sent = before.clone();
    let wanted = &known.request.extensions;
    let spoken = out.object("extensions", |out| {
        if let Some(request) = &wanted.to_device {
            (sent.to_device, sent.more) = to_device::write(out, known, request, before);
        }
        if wanted.e2ee {
            sent.e2ee = Some(e2ee::write(out, known, before.e2ee.as_ref()));
        }
        if let Some(scope) = &wanted.account_data {
            account_data::write(out, known, scope, Known::since(scope, before.account_data.as_ref()));
            sent.account_data = Some(known.sent(scope));
        }
        if let Some(scope) = &wanted.receipts {
            receipts::write(out, known, scope, Known::since(scope, before.receipts.as_ref()));
            sent.receipts = Some(known.sent(scope));
        }
        if let Some(limit) = wanted.threads {
            threads::write(out, known, limit, before.threads);
            sent.threads = Some(known.at);
        }
        if let Some(request) = wanted.sticky {
            sent.sticky = Some(sticky::write(out, known, request, before.sticky.as_ref()));
        }
        let more = out.len() > 0;
        let mut goes_on = false;
        if let Some(scope) = &wanted.typing {
            let fresh = typing::write(out, known, scope, before.typing.as_ref());
            goes_on = before.typing.as_ref().is_some_and(|before| before.scope == fresh.scope);
            sent.typing = Some(fresh);
        }
        match (more, out.len() > 0) {
            (false, false) => Spoken::Nothing,
            (false, true) if goes_on => Spoken::Typing,
            _ => Spoken::More,
        }
    });
    (sent, spoken)
}
