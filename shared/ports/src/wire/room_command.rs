//! Every question to a room's hub, with its answer.

use ruma::OwnedUserId;
use tern_model::{MembershipAction, Notice, RawJson};

use super::{
    Done,
    adopt::{AdoptRoom, ListResidents, Residents},
    boundary,
    delayed::{DelayEvent, Delayed, FindDelayed, ListDelayed, ManageDelayed, ScheduledEvent},
    directory::{CheckAliasPermission, NoteAlias, ReadSummary, SeenRoom},
    ephemeral::ReceiveEphemeral,
    handshake::{CheckJoined, MakeMember, MemberTemplate, SendMember, SentMember},
    invite::{CheckInvite, InvitePlace, PrepareInvite, PreparedInvite},
    policy::{RoomPolicy, Suspended, room_policy},
    receive::{Receipted, ReceiveEvents},
    relations::{EventContext, EventTime, ReadContext, ReadEventByTime, ReadRelations, ReadThreads, RelationPage},
    room::{
        ChangeMembership, CreateRoom, ForgetMember, JoinedMember, Messages, PageState, ProbeRoom, ReadEvent,
        ReadForUpgrade, ReadJoinedMembers, ReadJoinedUsers, ReadMessages, ReadSlice, ReadState, ReadStateEvent,
        RoomProbe, SendEvent, SendReceipts, Sent, SetMemberProfile, SetTyping, StatePage, SubscribeRoom, UpgradeSource,
    },
    server_reads::{OutgoingEvents, ReadForServer, ReadOutgoing, ServedEvents},
    sync::SyncRoom,
    threads::{FindThread, FoundThread},
};

boundary! {
    /// A question to a room's hub.
    RoomCommand,
    /// A question to a room's hub and its answer.
    RoomRequest,
    RoomPolicy,
    room_policy,
    {
        // when there is no such room, access, while suspended
        CreateRoom => Sent, [Create Write Refused];
        SendEvent => Sent, [Forbidden Write (Self::suspended)];
        ChangeMembership => Sent, [Own Write (Self::suspended)];
        SetMemberProfile => Done, [Own Write Allowed];
        ForgetMember => Done, [Forbidden Write Allowed];
        SetTyping => Done, [Forbidden Write Allowed];
        SendReceipts => Done, [Forbidden Write Allowed];
        ReadMessages => Messages, [Forbidden Read Allowed];
        ReadEvent => RawJson, [Own Read Allowed];
        ReadContext => EventContext, [Own Read Allowed];
        ReadEventByTime => EventTime, [Forbidden Read Allowed];
        ReadRelations => RelationPage, [Own Read Allowed];
        ReadThreads => RelationPage, [Forbidden Read Allowed];
        FindThread => FoundThread, [Own Read Allowed];
        ReadState => Vec<RawJson>, [Forbidden Read Allowed];
        PageState => StatePage, [Forbidden Read Allowed];
        ReadStateEvent => RawJson, [Forbidden Read Allowed];
        ReadJoinedMembers => Vec<JoinedMember>, [Forbidden Read Allowed];
        ReadJoinedUsers as "ReadCompanions" => Vec<OwnedUserId>, [Forbidden Read Allowed];
        ReadSlice => SyncRoom, [Forbidden Read Allowed];
        SubscribeRoom as "AttendRoom" => Option<Notice>, [Forbidden Write Allowed];
        ReadSummary => SeenRoom, [Own Read Allowed];
        CheckAliasPermission as "CheckCurator" => Done, [Forbidden Read Allowed];
        NoteAlias => Done, [Own Write Allowed];
        ReadForUpgrade => UpgradeSource, [Forbidden Read Allowed];
        DelayEvent => Delayed, [Forbidden Write Refused];
        FindDelayed => Option<Delayed>, [Own Read Allowed];
        ManageDelayed => Done, [Own Write Allowed];
        ListDelayed => Vec<ScheduledEvent>, [Own Read Allowed];
        ProbeRoom => RoomProbe, [Own Read Allowed];
        ReceiveEvents => Vec<Receipted>, [Create Write Allowed];
        ReceiveEphemeral => Done, [Own Write Allowed];
        ReadForServer => ServedEvents, [Own Read Allowed];
        ReadOutgoing => OutgoingEvents, [Own Read Allowed];
        MakeMember => MemberTemplate, [Own Read Allowed];
        SendMember => SentMember, [Own Write Allowed];
        CheckJoined => Option<bool>, [Own Read Allowed];
        CheckInvite => InvitePlace, [Own Read Allowed];
        AdoptRoom => Sent, [Create Write Refused];
        PrepareInvite => Option<PreparedInvite>, [Forbidden Read Refused];
        ListResidents => Residents, [Own Read Allowed];
    }
}

impl SendEvent {
    /// A suspended user may take back what is his own, which whoever sends the redaction sees to.
    const fn suspended(&self) -> Suspended {
        if self.draft.redacts.is_some() { Suspended::Allowed } else { Suspended::Refused }
    }
}

impl ChangeMembership {
    /// A suspended user may leave, and do nothing else.
    const fn suspended(&self) -> Suspended {
        if matches!(self.action, MembershipAction::Leave) { Suspended::Allowed } else { Suspended::Refused }
    }
}
