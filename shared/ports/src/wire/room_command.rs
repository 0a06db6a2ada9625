//! Every question to a room's hub, with its answer.

use ruma::OwnedUserId;
use tern_model::{Notice, RawJson};

use super::{
    Done, boundary,
    delayed::{DelayEvent, Delayed, FindDelayed, ListDelayed, ManageDelayed, ScheduledEvent},
    directory::{CheckAliasPermission, ReadSummary, SeenRoom},
    receive::{Receipted, ReceiveEvents},
    relations::{EventContext, EventTime, ReadContext, ReadEventByTime, ReadRelations, ReadThreads, RelationPage},
    room::{
        ChangeMembership, CreateRoom, ForgetMember, JoinedMember, Messages, ProbeRoom, ReadEvent, ReadForUpgrade,
        ReadJoinedMembers, ReadJoinedUsers, ReadMembers, ReadMessages, ReadSlice, ReadState, ReadStateEvent, RoomProbe,
        SendEvent, SendReceipts, Sent, SetMemberProfile, SetTyping, SubscribeRoom, UpgradeSource,
    },
    sync::SyncRoom,
    threads::{FindThread, FoundThread},
};

boundary! {
    /// A question to a room's hub.
    RoomCommand,
    /// A question to a room's hub and its answer.
    RoomRequest,
    {
        CreateRoom => Sent,
        SendEvent => Sent,
        ChangeMembership => Sent,
        SetMemberProfile => Done,
        ForgetMember => Done,
        SetTyping => Done,
        SendReceipts => Done,
        ReadMessages => Messages,
        ReadEvent => RawJson,
        ReadContext => EventContext,
        ReadEventByTime => EventTime,
        ReadRelations => RelationPage,
        ReadThreads => RelationPage,
        FindThread => FoundThread,
        ReadState => Vec<RawJson>,
        ReadStateEvent => RawJson,
        ReadMembers => Vec<RawJson>,
        ReadJoinedMembers => Vec<JoinedMember>,
        ReadJoinedUsers as "ReadCompanions" => Vec<OwnedUserId>,
        ReadSlice => SyncRoom,
        SubscribeRoom as "AttendRoom" => Option<Notice>,
        ReadSummary => SeenRoom,
        CheckAliasPermission as "CheckCurator" => Done,
        ReadForUpgrade => UpgradeSource,
        DelayEvent => Delayed,
        FindDelayed => Option<Delayed>,
        ManageDelayed => Done,
        ListDelayed => Vec<ScheduledEvent>,
        ProbeRoom => RoomProbe,
        ReceiveEvents => Vec<Receipted>,
    }
}
