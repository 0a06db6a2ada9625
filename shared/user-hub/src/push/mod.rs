//! Push to phones (Client-Server API, "Push Notifications"): the hub that counts also pushes, so that count, highlight and
//! push follow from one evaluation of the rules.
//!
//! Nothing is queued. What a pusher has to be sent is what notified after its place and is unread ([`tern_push::queue`]).
//! The hub's row, or the newest event's, says from where on events may not have been handed over; an alarm a few seconds
//! later sees to it that they are, should the hub die. While its memory lasts, it knows. When it comes back much
//! later all went well, since that alarm has been.
//!
//! - [`pushers`]: what clients set and read.
//! - [`pending`]: what is unread.
//! - [`deliver`]: one request at a time for each pusher, never in the path of what is pushed.
//! - [`event`]: what is told of an event.
//! - [`invite`]: an invite into a room that is not here.
//! - [`badge`]: the number alone, when it falls.

mod badge;
mod deliver;
mod event;
mod invite;
mod pending;
mod pushers;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use tern_model::{MatrixError, Millis, StreamPos};
use tern_ports::{ObjectHost, WaitingPolls};
use tern_push::queue::Progress;
use tern_sync::Membership;

use super::{
    UserActor,
    alarm::Duty,
    store::{pushers::PusherRow, rooms::RoomRow},
    transaction::Transaction,
};

/// The alarm comes so long after an event: sooner than the hub leaves memory.
const SAFEGUARD_MS: u64 = 5_000;
/// A hub that comes back within this time cannot know what was handed over.
const UNSURE_MS: u64 = 15_000;
/// If an alarm brings it back, within this time.
const UNSURE_AT_ALARM_MS: u64 = 60_000;

/// What is in memory.
#[derive(Default)]
pub(super) struct Push {
    /// The pushers, read once.
    live: RefCell<Option<Rc<[Rc<Live>]>>>,
    /// This command brought something to push.
    noted: Cell<bool>,
    /// The hub's row is of an earlier life, as far as pushes go.
    unsure: Cell<bool>,
    /// This command made a room read.
    lowered: Cell<bool>,
    /// When the number is told, if it is to be.
    badge_at: Cell<Option<Millis>>,
    /// Somebody waits for that.
    badge_waits: Cell<bool>,
}

/// A pusher in memory.
struct Live {
    row: PusherRow,
    /// Stays when the pusher is set again.
    state: Rc<State>,
}

struct State {
    progress: Cell<Progress>,
    /// Requests are under way, one at a time.
    busy: Cell<bool>,
    /// The number that its device was told last, in this life.
    told: Cell<Option<u64>>,
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// Some pusher wants to hear of events.
    pub(super) fn pushes(&self) -> bool {
        self.hub.get().pushers > 0
    }

    /// The hub is back; whether pushes of an earlier life have to be taken up.
    pub(super) fn resume_push(&self, failing: bool) -> bool {
        let (hub, now) = (self.hub.get(), self.host.now());
        self.push.unsure.set(hub.push_from > StreamPos(0));
        if now.since(hub.push_at) > UNSURE_AT_ALARM_MS {
            self.handed_over();
        }
        self.pushes() && failing
    }

    /// An event that notifies is filed at `pos`.
    pub(super) fn note_push(&self, tx: &Transaction<'_, H::Sql>, pos: StreamPos) {
        if !self.pushes() {
            return;
        }
        let now = self.host.now();
        // So much later the alarm has been.
        let settled = self.push.unsure.take() && now.since(self.hub.get().push_at) > UNSURE_MS;
        tx.note_push(pos, now, settled);
        self.push.noted.set(true);
    }

    /// A room's counts may have changed.
    pub(super) fn note_unread(&self, before: Option<&RoomRow>, after: &RoomRow) {
        if self.pushes() && before.is_some_and(RoomRow::is_unread) && !after.is_unread() {
            self.push.lowered.set(true);
        }
    }

    /// Invites are shown or hidden that were not.
    pub(super) fn note_invites(&self) {
        self.push.lowered.set(self.pushes());
    }

    /// Sees to what a command left to push, before its reply and without waiting for any gateway. There is no await between
    /// the command's commit and the asking for the alarm, so that both are written together.
    pub(super) async fn after_push(self: &Rc<Self>) {
        if self.push.lowered.take() {
            self.leave_badge();
        }
        if self.push.noted.take() {
            self.host.spawn(Box::pin(Rc::clone(self).push_all()));
            self.leave(Duty::Push, self.host.now().plus(SAFEGUARD_MS)).await;
        }
    }

    /// Everything was handed over. The row says so with its next change.
    fn handed_over(&self) {
        self.push.unsure.set(false);
        let mut hub = self.hub.get();
        hub.push_from = StreamPos(0);
        self.hub.set(hub);
    }

    /// Unread rooms, as the list of rooms shows them, invites among them.
    fn unread_rooms(&self) -> Result<u64, MatrixError> {
        let mut unread = 0;
        for row in self.unread_rows(StreamPos(0))? {
            unread += u64::from(row.is_unread() && !self.is_hidden(&row)?);
        }
        Ok(unread)
    }

    /// The room is an invite that does not reach the user.
    fn is_hidden(&self, row: &RoomRow) -> Result<bool, MatrixError> {
        Ok(row.membership == Membership::Invite && self.hides(row, &self.facts(&row.room_id)?)?)
    }
}
