//! Every question to a local user's hub, with its answer.

use ruma::{OwnedDeviceId, OwnedRoomId, OwnedUserId};
use tern_model::{PresenceNote, RawJson};

use super::{
    Done,
    accounts::{Retire, Retired, SetStanding},
    boundary,
    delayed::{ListDelayedRooms, NoteDelayedRoom},
    grant::{
        AllowReset, BrowserView, CloseBrowser, Granted, InspectGrant, Inspection, IssueGrant, OpenBrowser, ReadBrowser,
        RedeemGrant, RefreshGrant, RevokeGrant,
    },
    invite::{DeliverInvite, Inviters, ListInviters, RejectInvite},
    keys::{
        ClaimKeys, ClaimedKeys, CrossSigningUploaded, Dehydrated, DehydratedEvents, DeleteDehydrated, DeviceLists,
        KeyCount, NoteDeviceList, NotedDeviceList, OwnKeys, PutDehydrated, QueryKeys, QueryOwnKeys, ReadDehydrated,
        ReadDehydratedEvents, ReadDeviceLists, SignatureFailures, UploadCrossSigning, UploadKeys, UploadSignatures,
        UserKeys,
    },
    notifications::ListNotifications,
    places::{Beside, FindPlaces, FindRecent, Place, ReadBeside},
    policy::{Absent, Cause, UserPolicy, user_policy},
    presence::{NotePresence, ReadPresence, SetPresence},
    pushers::{DeletePusher, ListPushers, SetPusher},
    threads::{ListThreadSubscriptions, ReadThreadSubscription, SubscribeThread, UnsubscribeThread},
    user::{
        ChangePushRule, ChangeTag, CheckSession, ClassicSync, CloseSessions, DeleteAccountData, Deliver,
        DeliverToDevice, Delivered, Device, ForgetRoom, ListDevices, ListIgnored, ListMemberships, ListRooms,
        ListSessions, ListSharedUsers, Memberships, OpenSession, ProbeUser, Profile, ReadAccountData, ReadFilter,
        ReadInvitee, ReadProfile, RefreshSession, RenameDevice, Renamed, Session, SessionState, SlidingSync, SyncStep,
        UserProbe, WriteAccountData, WriteFilter, WriteProfile,
    },
};

boundary! {
    /// A question to a user's hub.
    UserCommand,
    /// A question to a user's hub and its answer.
    UserRequest,
    UserPolicy<'_>,
    user_policy,
    {
        // when there is no such hub, access, tells of keys, while suspended, caused by
        OpenSession => Session, [Create Write Nobody Allowed Server];
        RefreshSession => Session, [UnknownToken Write Nobody Allowed Server];
        CheckSession => SessionState, [UnknownToken Read Nobody Allowed Own];
        CloseSessions => Done, [(Self::absent) Write Change Allowed (Self::cause)];
        ListDevices => Vec<Device>, [Service Read Nobody Allowed Client];
        RenameDevice => Renamed, [Service Write Change Allowed Client];
        SlidingSync => SyncStep, [Service Write Nobody Allowed Own];
        ClassicSync => SyncStep, [Service Write Nobody Allowed Own];
        Deliver => Delivered, [Registered Write Nobody Allowed Server];
        ReadAccountData => Option<RawJson>, [Service Read Nobody Allowed Client];
        WriteAccountData => Done, [Service Write Nobody Allowed Client];
        DeleteAccountData => Done, [Service Write Nobody Allowed Client];
        ChangeTag => Done, [Service Write Nobody Allowed Client];
        ChangePushRule => Done, [Service Write Nobody Allowed Client];
        WriteFilter => String, [Service Write Nobody Allowed Client];
        ReadFilter => Option<RawJson>, [Service Read Nobody Allowed Client];
        ReadProfile => Profile, [UnknownUser Read Nobody Allowed Server];
        DeliverInvite => Done, [Registered Write Nobody Allowed Server];
        RejectInvite => Done, [UnknownUser Write Nobody Allowed Server];
        ListInviters => Inviters, [UnknownUser Read Nobody Allowed Server];
        ReadInvitee => Profile, [UnknownUser Read Nobody Allowed Server];
        WriteProfile => Done, [(Self::absent) Write Nobody Refused (Self::cause)];
        ListRooms => Vec<OwnedRoomId>, [Service Read Nobody Allowed Client];
        ListSharedUsers => Vec<OwnedUserId>, [Service Read Nobody Allowed Client];
        ListMemberships => Memberships, [(Self::absent) Read Nobody Allowed (Self::cause)];
        ForgetRoom => Done, [Service Write Nobody Allowed Client];
        ListIgnored => Vec<OwnedUserId>, [Service Read Nobody Allowed Client];
        FindPlaces => Vec<Place>, [Service Read Nobody Allowed Client];
        ReadBeside => Vec<Beside>, [Service Read Nobody Allowed Client];
        FindRecent => Option<OwnedRoomId>, [Service Read Nobody Allowed Client];
        NoteDelayedRoom => Done, [Service Write Nobody Allowed Client];
        ListDelayedRooms => Vec<OwnedRoomId>, [Service Read Nobody Allowed Client];
        SetPresence => Done, [Service Write Nobody Allowed Client];
        ReadPresence => RawJson, [UnknownUser Read Nobody Allowed Server];
        NotePresence => PresenceNote, [UnknownUser Write Nobody Allowed Server];
        SubscribeThread => Done, [Service Write Nobody Allowed Client];
        UnsubscribeThread => Done, [Service Write Nobody Allowed Client];
        ReadThreadSubscription => Option<bool>, [Service Read Nobody Allowed Client];
        ListThreadSubscriptions => RawJson, [Service Read Nobody Allowed Client];
        ListNotifications => RawJson, [Service Read Nobody Allowed Client];
        ListPushers => RawJson, [Service Read Nobody Allowed Client];
        SetPusher => Done, [Service Write Nobody Allowed Client];
        DeletePusher => Done, [(Self::absent) Write Nobody Allowed (Self::cause)];
        DeliverToDevice => Done, [UnknownUser Write Nobody Allowed Server];
        UploadKeys => KeyCount, [Service Write (Self::tells) Allowed Client];
        QueryKeys => UserKeys, [UnknownUser Read Keys Allowed Server];
        QueryOwnKeys => OwnKeys, [Service Read Nobody Allowed Client];
        ClaimKeys => ClaimedKeys, [UnknownUser Write Nobody Allowed Server];
        UploadCrossSigning => CrossSigningUploaded, [Service Write Change Allowed Client];
        UploadSignatures => SignatureFailures, [Service Write Change Allowed Client];
        PutDehydrated => Done, [Service Write Change Allowed Client];
        ReadDehydrated => Option<Dehydrated>, [Service Read Nobody Allowed Client];
        DeleteDehydrated => Option<OwnedDeviceId>, [Service Write Change Allowed Client];
        ReadDehydratedEvents => DehydratedEvents, [Service Write Nobody Allowed Client];
        NoteDeviceList => NotedDeviceList, [UnknownUser Write Nobody Allowed Server];
        ReadDeviceLists => DeviceLists, [Service Read Nobody Allowed Client];
        ProbeUser => UserProbe, [UnknownUser Read Nobody Allowed Server];
        OpenBrowser => String, [Create Write Nobody Allowed Server];
        ReadBrowser => BrowserView, [UnknownToken Read Nobody Allowed Server];
        CloseBrowser => Done, [UnknownToken Write Nobody Allowed Server];
        IssueGrant => String, [UnknownToken Write Nobody Allowed Server];
        RedeemGrant => Granted, [InvalidGrant Write Nobody Allowed Server];
        RefreshGrant => Granted, [InvalidGrant Write Nobody Allowed Server];
        RevokeGrant => Option<OwnedDeviceId>, [InvalidGrant Write Change Allowed Server];
        InspectGrant => Option<Inspection>, [InvalidGrant Read Nobody Allowed Server];
        AllowReset => Done, [UnknownToken Write Nobody Allowed Server];
        SetStanding => Done, [Create Write Nobody Allowed Server];
        Retire => Retired, [Create Write End Allowed Server];
        ListSessions => Vec<Device>, [Empty Read Nobody Allowed Server];
    }
}

impl CloseSessions {
    fn absent(&self) -> Absent {
        Absent::Done.unless_of_client(self.session.as_ref())
    }

    fn cause(&self) -> Cause<'_> {
        self.session.as_ref().map_or(Cause::Server, Cause::Own)
    }
}

impl DeletePusher {
    fn absent(&self) -> Absent {
        Absent::Done.unless_of_client(self.session.as_ref())
    }

    fn cause(&self) -> Cause<'_> {
        self.session.as_ref().map_or(Cause::Server, Cause::Client)
    }
}

impl WriteProfile {
    /// An administrator may name somebody who never signed in.
    fn absent(&self) -> Absent {
        Absent::Create.unless_of_client(self.session.as_ref())
    }

    fn cause(&self) -> Cause<'_> {
        self.session.as_ref().map_or(Cause::Server, Cause::Client)
    }
}

impl ListMemberships {
    fn absent(&self) -> Absent {
        Absent::UnknownUser.unless_of_client(self.session.as_ref())
    }

    fn cause(&self) -> Cause<'_> {
        self.session.as_ref().map_or(Cause::Server, Cause::Client)
    }
}
