//! A room's hub: the actor behind one room.
//!
//! Its truth is its own SQLite (`store`, `schema`); memory is a cache of it, except for typing and receipts of the
//! last seconds, which may be lost. A change is decided and committed in one synchronous turn (`view`, `send`); what
//! follows from it, telling members (`announce`) and feeding the storage worker (`forward`), is resumed by one alarm
//! (`alarm`) until it is done.
//!
//! | folder | what | in it |
//! |---|---|---|
//! | `timeline` | changes, and what is stored of them | `send`, `membership`, `prepare_invite`, `create`, `delayed`, `finalised`, `sticky`, `facts`, `forward` |
//! | `graph` | events from other servers, and what is kept of a room that forked | `receive`, `origins`, `genuine`, `take`, `fetch`, `waiting`, `gaps`, `bridge`, `signer_keys`, `admit`, `adopt` for rooms of others, as they are `told`, `known`, `history`, `turn_states`, `read_events`; `state_groups`, `resolution_changes`, `side_events`, `state_history` |
//! | `resident` | users of other servers join, leave and knock through this one | `template`, `hand_over`, `condition`, `answer`; `elsewhere`: nobody here is in it |
//! | `delivery` | who is told what, one by one or by relays; typing and receipts | `enqueue`, `delivery_queue`, `workers`, `shards`, `notice_batch`, `listeners`, `ephemeral`; `servers` in the room, and `server_queue` |
//! | `reads` | reads, each after the reader's access was checked (`access`) | `history`, `before_join`, `read`, `relations`, `slice`; `server`, `server_state`, `server_history`, `outgoing` for other servers; `aggregate`, `related`, `receipt_place`; `timeline`, the tail joined with what the storage worker has |

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
};

use ruma::OwnedRoomId;
use tern_model::{Config, MatrixError, RoomSeq};
use tern_object_kit::{alarm::AlarmClock, group_commit::GroupCommit};
use tern_ports::{
    ObjectHost, SqlError,
    wire::{
        RoomCommand,
        frame::write_reply,
        policy::{Absent, RoomPolicy},
        room::{ProbeRoom, RoomProbe},
    },
};
use tern_room::{BadKey, Signer};

mod alarm;
mod delivery;
mod graph;
mod reads;
mod refusal;
mod resident;
mod schema;
mod timeline;

pub use crate::timeline::delayed::room_of as room_of_delayed;
use crate::{
    delivery::{announce, ephemeral, servers::Servers, services::Services},
    graph::{gaps::GapFiller, origins::Origins},
    reads::before_join::BeforeJoin,
    refusal::not_in_room,
    timeline::{forward, head::Head, send, store::Store, view},
};
pub use schema::{RESTORED, SCHEMA};

/// The actor behind one room.
pub struct RoomActor<H: ObjectHost> {
    host: Rc<H>,
    config: Rc<Config>,
    room_id: OwnedRoomId,
    signer: Result<Signer, BadKey>,
    /// The head row once it was read, with cursors that may be ahead of it. That there is none is never remembered: a restore
    /// may bring it.
    head: RefCell<Option<Rc<Head>>>,
    /// `forwarded` and `announced` as the head row has them.
    saved: Cell<(RoomSeq, RoomSeq)>,
    /// A request or an alarm has come since the object was built.
    awake: Cell<bool>,
    cache: view::Cache,
    group_commit: GroupCommit<send::Job, send::Answer>,
    announcer: announce::Announcer,
    forwarder: forward::Forwarder,
    ephemeral: ephemeral::Ephemeral,
    origins: Origins,
    servers: Servers,
    services: Services,
    /// Events from elsewhere wait for others, as far as that is known.
    waits: Cell<Option<bool>>,
    gaps: GapFiller,
    before_join: BeforeJoin,
    alarm: AlarmClock,
}

impl<H: ObjectHost> RoomActor<H> {
    /// The actor of room `id`. Touches nothing: the object of a room that does not exist stays empty.
    pub fn new(host: Rc<H>, config: Rc<Config>, id: OwnedRoomId) -> Self {
        let signer = Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key);
        Self {
            host,
            config,
            room_id: id,
            signer,
            head: RefCell::default(),
            saved: Cell::default(),
            awake: Cell::default(),
            cache: view::Cache::default(),
            group_commit: GroupCommit::default(),
            announcer: announce::Announcer::default(),
            forwarder: forward::Forwarder::default(),
            ephemeral: ephemeral::Ephemeral::default(),
            origins: Origins::default(),
            servers: Servers::default(),
            services: Services::default(),
            waits: Cell::default(),
            gaps: GapFiller::default(),
            before_join: BeforeJoin::default(),
            alarm: AlarmClock::default(),
        }
    }

    /// Answers one command with a reply frame.
    pub async fn handle(self: &Rc<Self>, command: RoomCommand) -> Vec<u8> {
        if !self.awake.replace(true) {
            self.follow_up();
        }
        if let Err(error) = self.admit(command.policy()) {
            return write_reply::<()>(&Err(error));
        }
        match command {
            RoomCommand::CreateRoom(request) => write_reply(&self.create_room(&request).await),
            RoomCommand::SendEvent(request) => write_reply(&self.send_event(*request).await),
            RoomCommand::ChangeMembership(request) => write_reply(&self.change_membership(*request).await),
            RoomCommand::SetMemberProfile(request) => write_reply(&self.set_member_profile(*request).await),
            RoomCommand::ForgetMember(request) => write_reply(&self.forget_member(&request)),
            RoomCommand::SetTyping(request) => write_reply(&self.set_typing(*request)),
            RoomCommand::SendReceipts(request) => write_reply(&self.send_receipts(*request).await),
            RoomCommand::ReadMessages(request) => write_reply(&self.read_messages(*request).await),
            RoomCommand::ReadEvent(request) => write_reply(&self.read_event(&request).await),
            RoomCommand::ReadContext(request) => write_reply(&self.read_context(*request).await),
            RoomCommand::ReadEventByTime(request) => write_reply(&self.read_event_by_time(*request).await),
            RoomCommand::ReadRelations(request) => write_reply(&self.read_relations(*request).await),
            RoomCommand::ReadThreads(request) => write_reply(&self.read_threads(*request).await),
            RoomCommand::FindThread(request) => write_reply(&self.find_thread(&request).await),
            RoomCommand::ReadState(request) => write_reply(&self.read_state(&request).await),
            RoomCommand::PageState(request) => write_reply(&self.page_state(&request).await),
            RoomCommand::ReadStateEvent(request) => write_reply(&self.read_state_event(&request).await),
            RoomCommand::ReadJoinedMembers(request) => write_reply(&self.read_joined_members(&request)),
            RoomCommand::ReadJoinedUsers(request) => write_reply(&self.read_joined_users(&request)),
            RoomCommand::ReadSlice(request) => write_reply(&self.read_slice(&request.ask).await),
            RoomCommand::SubscribeRoom(request) => write_reply(&self.subscribe(&request)),
            RoomCommand::ReadSummary(request) => write_reply(&self.read_summary(&request).await),
            RoomCommand::CheckAliasPermission(request) => write_reply(&self.check_alias_permission(&request)),
            RoomCommand::NoteAlias(request) => write_reply(&self.note_alias(&request)),
            RoomCommand::ReadForUpgrade(request) => write_reply(&self.read_for_upgrade(&request)),
            RoomCommand::DelayEvent(request) => write_reply(&self.delay_event(*request).await),
            RoomCommand::FindDelayed(request) => write_reply(&self.find_delayed(&request)),
            RoomCommand::ManageDelayed(request) => write_reply(&self.manage_delayed(&request).await),
            RoomCommand::ListDelayed(request) => write_reply(&self.list_delayed(&request)),
            RoomCommand::ProbeRoom(request) => write_reply(&self.probe(*request)),
            RoomCommand::ReceiveEvents(request) => write_reply(&self.receive_events(*request).await),
            RoomCommand::ReceiveEphemeral(request) => write_reply(&self.receive_ephemeral(*request).await),
            RoomCommand::ReadForServer(request) => write_reply(&self.read_for_server(*request).await),
            RoomCommand::ReadOutgoing(request) => write_reply(&self.read_outgoing(*request).await),
            RoomCommand::MakeMember(request) => write_reply(&self.make_member(*request).await),
            RoomCommand::SendMember(request) => write_reply(&self.send_member(*request).await),
            RoomCommand::CheckInvite(request) => write_reply(&self.check_invite(&request)),
            RoomCommand::CheckJoined(request) => write_reply(&self.tell_joined(&request)),
            RoomCommand::AdoptRoom(request) => write_reply(&self.adopt_room(*request).await),
            RoomCommand::PrepareInvite(request) => write_reply(&self.prepare_invite(*request)),
            RoomCommand::ListResidents(request) => write_reply(&self.list_residents(&request)),
        }
    }

    /// Refuses what makes sense only in a room that is there.
    fn admit(&self, policy: RoomPolicy) -> Result<(), MatrixError> {
        match policy.absent {
            Absent::Forbidden => self.room().map(|_| ()),
            // No other word is in the table of rooms.
            _ => Ok(()),
        }
    }

    /// The room's figures; zeroes for a room that does not exist.
    fn probe(&self, _: ProbeRoom) -> Result<RoomProbe, MatrixError> {
        let head = self.head()?;
        Ok(head.map_or_else(RoomProbe::default, |head| RoomProbe {
            newest: head.newest,
            forwarded: head.forwarded,
            announced: head.announced,
        }))
    }

    fn store(&self) -> Store<'_, H::Sql> {
        Store(self.host.sql())
    }

    fn signer(&self) -> Result<&Signer, MatrixError> {
        self.signer.as_ref().map_err(|_| MatrixError::internal())
    }

    /// The head, when the room exists.
    fn head(&self) -> Result<Option<Rc<Head>>, SqlError> {
        if let Some(head) = &*self.head.borrow() {
            return Ok(Some(Rc::clone(head)));
        }
        let exists = SCHEMA.renew(self.host.sql())?;
        if let Some(head) = exists.then(|| self.store().head()).transpose()?.flatten() {
            self.adopt(head);
        }
        Ok(self.head.borrow().clone())
    }

    /// The head of a room that must exist for members to be asking.
    fn room(&self) -> Result<Rc<Head>, MatrixError> {
        self.head()?.ok_or_else(not_in_room)
    }

    /// Takes over the head as it stands in its row.
    fn adopt(&self, head: Head) {
        self.saved.set((head.forwarded, head.announced));
        self.adopt_unsaved(head);
    }

    /// Takes over a head whose cursors are not in its row, nor what its newest event tells.
    fn adopt_unsaved(&self, head: Head) {
        self.head.replace(Some(Rc::new(head)));
    }

    /// Moves a cursor in memory; `save_cursors` or the next commit writes it.
    fn move_cursor(&self, change: impl FnOnce(&mut Head)) {
        if let Some(head) = &mut *self.head.borrow_mut() {
            change(Rc::make_mut(head));
        }
    }

    /// Writes cursors that moved since the last commit. Losing them costs repeated work, nothing else, hence not at once.
    fn save_cursors(&self) -> Result<(), SqlError> {
        let Some(head) = self.head()? else { return Ok(()) };
        let cursors = (head.forwarded, head.announced);
        if self.saved.get() != cursors {
            self.store().write_head(&head)?;
            self.saved.set(cursors);
        }
        Ok(())
    }

    /// Sees to whatever follows from commits; the reply does not wait for it.
    fn follow_up(self: &Rc<Self>) {
        let actor = Rc::clone(self);
        self.host.spawn(Box::pin(async move {
            actor.let_reply_go_first().await;
            actor.start_announcing();
            // Members first. Storage gets more at a time that way.
            actor.host.yield_now().await;
            actor.start_forwarding();
        }));
    }
}
