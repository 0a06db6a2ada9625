//! The actor of a user's hub: sessions, rooms, inbox, account data, queues, and the sync answers made of them.
//!
//! Its truth is its SQLite; what it holds in memory is a cache, except typing, which rooms tell again. A command that
//! changes something does so in one transaction ([`transaction`]) and one synchronous turn. Only a sync step that needs events
//! from outside, and carrying a profile into rooms, await anything; both look again at what they stand on afterwards.
//!
//! | command | file |
//! |---|---|
//! | sessions, devices | [`sessions`], [`refresh`] |
//! | the pages, OAuth clients | [`browser`], [`grants`] |
//! | lock, suspension, deactivation | [`standing`] |
//! | notices of rooms | [`inbox`] within [`inbox_bounds`], [`ephemeral`], [`member`], [`redaction`]; [`subscription`] of large ones |
//! | sync | [`sync`] and [`classic`] over [`view`], [`room_cache`] and [`room_rows`], with [`slices`] from outside; [`waiting_polls`] while there is no news |
//! | unread counts | [`counting`], and [`missed`] for what was not told |
//! | where a token of a sync is in a room | [`places`] |
//! | what notified the user | [`notifications`] |
//! | ignored users, whose invites are welcome | [`ignored`], [`invites`] |
//! | thread subscriptions | [`threads`] |
//! | sticky events | [`sticky`] |
//! | pushers, and what they are sent | [`push`] |
//! | who is there | [`presence`], [`acquaintance`] of whoever comes into a room |
//! | account data, tags, push rules | [`account_data`]; [`room_upgrade`] when a room is replaced |
//! | public keys, device lists | [`encryption`] |
//! | what comes before every command: tables, sessions, suspension | [`prepare`] |
//! | filters, profile, rooms, to-device | the files of these names |

mod account_data;
mod acquaintance;
mod alarm;
mod browser;
mod classic;
mod counting;
mod encryption;
mod ephemeral;
mod filters;
mod grants;
mod ignored;
mod inbox;
mod inbox_bounds;
mod invites;
mod member;
mod missed;
mod notifications;
mod others;
mod outside_invites;
mod places;
mod prepare;
mod presence;
mod probe;
mod profile;
mod push;
mod queue_shares;
mod redaction;
mod refresh;
mod reply;
mod room_cache;
mod room_rows;
mod room_upgrade;
mod rooms;
mod schema;
mod sessions;
mod slices;
mod standing;
mod sticky;
mod store;
mod subscription;
mod sync;
mod threads;
mod to_device;
mod transaction;
mod typing;
mod view;
mod waiting_polls;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    rc::Rc,
};

use ruma::{OwnedDeviceId, OwnedUserId};
use tern_model::{Config, Millis, StreamPos};
use tern_object_kit::alarm::AlarmClock;
use tern_ports::{ObjectHost, SqlError, WaitingPolls, wire::UserCommand};
use tern_room::InviteRules;
use tern_sync::Showing;

pub use reply::Handled;
pub use schema::{RESTORED, SCHEMA};

use self::{
    prepare::Prepared,
    reply::reply,
    room_cache::RoomCache,
    standing::Standing,
    store::{hub::Hub, recent::RecentRooms},
    typing::Typing,
};

/// The actor in a user's hub.
pub struct UserActor<H> {
    host: Rc<H>,
    config: Rc<Config>,
    user_id: OwnedUserId,
    /// The tables are there. A hub that was never written to makes none until it must.
    ready: Cell<bool>,
    hub: Cell<Hub>,
    standing: Cell<Standing>,
    typing: RefCell<Typing>,
    /// What others show of themselves, and what this user does.
    others: RefCell<others::Others>,
    showing: RefCell<Option<Rc<Showing>>>,
    /// A device was last seen.
    seen: Cell<Millis>,
    /// What the user shows has to be told.
    untold: Cell<bool>,
    /// Whom the user has begun to share a room with, and who are to be told what the user shows.
    met: RefCell<BTreeSet<OwnedUserId>>,
    rooms: RefCell<RoomCache>,
    /// Rooms that may be ahead of their rows; nothing until they are read.
    recent: RefCell<Option<RecentRooms>>,
    /// Push rules, ready to be asked.
    push_evaluator: RefCell<Option<Rc<counting::PushEvaluator>>>,
    ignored: RefCell<Option<Rc<BTreeSet<OwnedUserId>>>>,
    invite_rules: RefCell<Option<Rc<InviteRules>>>,
    push: push::Push,
    /// Something was missed that has to be counted.
    behind: Cell<bool>,
    /// What was missed is being counted.
    counting: Cell<bool>,
    /// When a poll last came or ended, in this life.
    polled: Cell<Option<Millis>>,
    /// There are rooms that the hub does not hear of.
    has_unsubscribed: Cell<bool>,
    /// How many times the hub is subscribing to them just now.
    subscribing: Cell<u32>,
    /// A profile is being carried into rooms.
    carrying: Cell<bool>,
    /// A change of the user's devices is being announced.
    announcing: Cell<bool>,
    /// This command left something to announce, or to copy.
    unannounced: Cell<bool>,
    /// This command changed what everybody may see of the keys.
    keys_changed: Cell<bool>,
    /// Not all changes may be in the copy of the public keys.
    uncopied: Cell<bool>,
    /// How often in a row the copy could not be written.
    failed_copies: Cell<u32>,
    /// Where the key counts of devices last changed, in this life: a poll that waited before is not told so by the
    /// stream alone.
    key_counts_at: RefCell<BTreeMap<OwnedDeviceId, StreamPos>>,
    alarm: AlarmClock,
    /// What is left for the alarm.
    duties: alarm::Duties,
    /// Work of an earlier life has to be taken up.
    unfinished: Cell<bool>,
    /// News that waiting polls have not been told of: of one device or of all, and their kinds.
    news: RefCell<Vec<(Option<OwnedDeviceId>, u32)>>,
}

impl<H: ObjectHost + WaitingPolls> UserActor<H> {
    /// The hub of `user_id`.
    pub fn new(host: Rc<H>, config: Rc<Config>, user_id: OwnedUserId) -> Self {
        let actor = Self {
            host,
            config,
            user_id,
            ready: Cell::new(false),
            hub: Cell::default(),
            standing: Cell::default(),
            typing: RefCell::default(),
            others: RefCell::default(),
            showing: RefCell::default(),
            seen: Cell::new(Millis(0)),
            untold: Cell::new(false),
            met: RefCell::default(),
            rooms: RefCell::default(),
            recent: RefCell::default(),
            push_evaluator: RefCell::default(),
            ignored: RefCell::default(),
            invite_rules: RefCell::default(),
            push: push::Push::default(),
            behind: Cell::default(),
            counting: Cell::default(),
            polled: Cell::default(),
            has_unsubscribed: Cell::default(),
            subscribing: Cell::default(),
            carrying: Cell::new(false),
            announcing: Cell::new(false),
            unannounced: Cell::new(false),
            keys_changed: Cell::new(false),
            uncopied: Cell::new(false),
            failed_copies: Cell::new(0),
            key_counts_at: RefCell::default(),
            alarm: AlarmClock::default(),
            duties: alarm::Duties::default(),
            unfinished: Cell::new(false),
            news: RefCell::default(),
        };
        // A failure is met again, and reported, by the first command.
        if SCHEMA.renew(actor.host.sql()).is_ok_and(|exists| exists) {
            let _ = actor.load();
        }
        actor
    }

    /// Handles one command.
    pub async fn handle(self: &Rc<Self>, command: UserCommand) -> Handled {
        let policy = command.policy();
        match self.prepare(&policy).await {
            Ok(Prepared::Ready) => {}
            Ok(Prepared::Absent(answer)) => return answer,
            Err(error) => return reply::<()>(&Err(error)),
        }
        if self.unfinished.take() {
            self.host.spawn(Box::pin(Rc::clone(self).take_up()));
        }
        if let Err(error) = self.admit_cause(&policy) {
            return reply::<()>(&Err(error));
        }
        let tells = policy.tells;
        let handled = self.dispatch(command).await;
        self.answer_waiting();
        self.spread_presence();
        // Between the look that holds a poll and the holding nothing may be awaited; such a command changes no devices.
        match handled {
            Handled::Reply(_) => {
                self.after_push().await;
                self.after_keys(handled, tells).await
            }
            Handled::Hold { .. } => handled,
        }
    }

    #[expect(clippy::too_many_lines, reason = "one line for each command")]
    async fn dispatch(self: &Rc<Self>, command: UserCommand) -> Handled {
        match command {
            UserCommand::OpenSession(command) => reply(&self.open_session(*command)),
            UserCommand::RefreshSession(command) => reply(&self.refresh_session(&command)),
            UserCommand::CheckSession(command) => reply(&self.check_session(&command)),
            UserCommand::CloseSessions(command) => reply(&self.close_sessions(&command)),
            UserCommand::ListDevices(_) => reply(&self.list_devices()),
            UserCommand::RenameDevice(command) => reply(&self.rename_device(*command)),
            UserCommand::SlidingSync(_) | UserCommand::ClassicSync(_) => self.sync_step(command).await,
            UserCommand::Deliver(command) => reply(&self.deliver(&command.notices)),
            UserCommand::ReadAccountData(command) => reply(&self.read_account_data(&command)),
            UserCommand::WriteAccountData(command) => reply(&self.write_account_data(&command)),
            UserCommand::DeleteAccountData(command) => reply(&self.delete_account_data(&command)),
            UserCommand::ChangeTag(command) => reply(&self.change_tag(&command)),
            UserCommand::ChangePushRule(command) => reply(&self.change_push_rule(&command)),
            UserCommand::WriteFilter(command) => reply(&self.write_filter(&command)),
            UserCommand::ReadFilter(command) => reply(&self.read_filter(&command)),
            UserCommand::ReadProfile(_) => reply(&self.read_profile()),
            UserCommand::DeliverInvite(command) => reply(&self.deliver_invite(&command)),
            UserCommand::RejectInvite(command) => reply(&self.reject_invite(&command)),
            UserCommand::ListInviters(command) => reply(&self.list_inviters(&command)),
            UserCommand::ReadInvitee(command) => reply(&self.read_invitee(&command)),
            UserCommand::WriteProfile(command) => reply(&self.write_profile(*command).await),
            UserCommand::ListRooms(_) => reply(&self.list_rooms()),
            UserCommand::ListSharedUsers(command) => reply(&self.list_shared_users(&command)),
            UserCommand::ListMemberships(_) => reply(&self.list_memberships()),
            UserCommand::ListIgnored(_) => reply(&self.list_ignored()),
            UserCommand::NoteDelayedRoom(command) => reply(&self.note_delayed_room(&command)),
            UserCommand::ListDelayedRooms(_) => reply(&self.list_delayed_rooms()),
            UserCommand::ForgetRoom(command) => reply(&self.forget_room(&command)),
            UserCommand::FindPlaces(command) => reply(&self.find_places(&command)),
            UserCommand::ReadBeside(command) => reply(&self.read_beside(&command)),
            UserCommand::FindRecent(command) => reply(&self.find_recent(&command)),
            UserCommand::SetPresence(command) => reply(&self.set_presence(*command)),
            UserCommand::ReadPresence(command) => reply(&self.read_presence(&command)),
            UserCommand::NotePresence(command) => reply(&self.note_presence(*command)),
            UserCommand::SubscribeThread(command) => reply(&self.subscribe_thread(&command)),
            UserCommand::UnsubscribeThread(command) => reply(&self.unsubscribe_thread(&command)),
            UserCommand::ReadThreadSubscription(command) => reply(&self.read_thread_subscription(&command)),
            UserCommand::ListThreadSubscriptions(command) => reply(&self.list_thread_subscriptions(&command)),
            UserCommand::ListNotifications(command) => reply(&self.list_notifications(&command)),
            UserCommand::ListPushers(_) => reply(&self.list_pushers()),
            UserCommand::SetPusher(command) => reply(&self.set_pusher(*command)),
            UserCommand::DeletePusher(command) => reply(&self.delete_pusher(&command)),
            UserCommand::DeliverToDevice(command) => reply(&self.deliver_to_device(&command)),
            UserCommand::UploadKeys(command) => reply(&self.upload_keys(&command)),
            UserCommand::QueryKeys(command) => reply(&self.query_keys(&command)),
            UserCommand::QueryOwnKeys(command) => reply(&self.query_own_keys(*command)),
            UserCommand::ClaimKeys(command) => reply(&self.claim_keys(&command)),
            UserCommand::UploadCrossSigning(command) => reply(&self.upload_cross_signing(&command)),
            UserCommand::UploadSignatures(command) => reply(&self.upload_signatures(&command)),
            UserCommand::PutDehydrated(command) => reply(&self.put_dehydrated(&command)),
            UserCommand::ReadDehydrated(_) => reply(&self.read_dehydrated()),
            UserCommand::DeleteDehydrated(_) => reply(&self.delete_dehydrated()),
            UserCommand::ReadDehydratedEvents(command) => reply(&self.read_dehydrated_events(&command)),
            UserCommand::NoteDeviceList(command) => reply(&self.note_device_list(&command)),
            UserCommand::ReadDeviceLists(command) => reply(&self.read_device_lists(&command)),
            UserCommand::ProbeUser(_) => reply(&self.probe()),
            UserCommand::OpenBrowser(command) => reply(&self.open_browser(*command)),
            UserCommand::ReadBrowser(command) => reply(&self.read_browser(&command)),
            UserCommand::CloseBrowser(command) => reply(&self.close_browser(&command)),
            UserCommand::IssueGrant(command) => reply(&self.issue_grant(*command)),
            UserCommand::RedeemGrant(command) => reply(&self.redeem_grant(*command)),
            UserCommand::RefreshGrant(command) => reply(&self.refresh_grant(&command)),
            UserCommand::RevokeGrant(command) => reply(&self.revoke_grant(&command)),
            UserCommand::InspectGrant(command) => reply(&self.inspect_grant(&command)),
            UserCommand::AllowReset(command) => reply(&self.allow_reset(&command)),
            UserCommand::SetStanding(command) => reply(&self.set_standing(*command)),
            UserCommand::Retire(command) => reply(&self.retire(*command)),
            UserCommand::ListSessions(_) => reply(&self.list_sessions()),
        }
    }

    fn load(&self) -> Result<(), SqlError> {
        let sql = self.host.sql();
        let mut hub = self.read_hub()?;
        hub.constructed += 1;
        self.hub.set(hub);
        self.standing.set(standing::load(sql)?);
        self.has_unsubscribed.set(store::subscription::any(sql)?);
        let missed = store::unread::missed(sql)?.is_some();
        let carrying = store::profile::propagation(sql)?.is_some();
        let announcing = store::shared_users::announcement(sql)?.is_some();
        let pushing = self.resume_push(hub.pushers > 0 && store::pushers::any_failing(sql)?);
        self.unfinished.set(self.load_publication()? || missed || carrying || announcing || pushing);
        self.ready.set(true);
        Ok(())
    }
}
