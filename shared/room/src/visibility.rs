//! Who may see what was said (Client-Server API, "Room history visibility").

use ruma::UserId;
use tern_model::RoomSeq;

/// How visibility and one user's membership changed along a room's timeline. Each list is in order of position, a value
/// holds from its position on, and positions are those of the events that set them.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The user.
    pub user_id: &'a UserId,
    /// `history_visibility` values.
    pub history: &'a [(RoomSeq, String)],
    /// `membership` values of the user.
    pub membership: &'a [(RoomSeq, String)],
}

impl<'a> Facts<'a> {
    fn history_at(&self, seq: RoomSeq) -> &'a str {
        value_at(self.history, seq).unwrap_or("shared")
    }

    /// The user's membership at a position, with what the event there changes.
    pub fn membership_at(&self, seq: RoomSeq) -> &'a str {
        value_at(self.membership, seq).unwrap_or("leave")
    }

    fn joins_after(&self, seq: RoomSeq) -> bool {
        self.membership.iter().any(|(at, value)| *at > seq && value == "join")
    }

    /// The spec's five steps, with the state at `state` and the event at `event`.
    fn allows(&self, event: RoomSeq, history: &str, membership: &str) -> bool {
        match (history, membership) {
            ("world_readable", _) | (_, "join") | ("invited", "invite") => true,
            ("invited" | "joined", _) => false,
            _ => self.joins_after(event),
        }
    }
}

/// May the user see the event at `seq`, of type `kind` and with `state_key` if it is a state event? For changes of the
/// visibility and of the user's own membership, the state before or after the event must allow it; for all others, the
/// state at the event.
pub fn may_see(facts: &Facts<'_>, seq: RoomSeq, kind: &str, state_key: Option<&str>) -> bool {
    let (history, membership) = (facts.history_at(seq), facts.membership_at(seq));
    if facts.allows(seq, history, membership) {
        return true;
    }
    let before = seq.previous();
    match (kind, state_key) {
        ("m.room.history_visibility", Some("")) => facts.allows(seq, facts.history_at(before), membership),
        ("m.room.member", Some(key)) if key == facts.user_id.as_str() => {
            facts.allows(seq, history, facts.membership_at(before))
        }
        _ => false,
    }
}

/// The state of a room that a user may read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StateAccess {
    /// The current state.
    Current,
    /// The state after this position: the user's leaving.
    At(RoomSeq),
    /// None.
    Denied,
}

/// Which state the user may read: members the current one, those who left the state at that point (`GET
/// /rooms/{roomId}/state`), everybody the current one of a world readable room.
pub fn state_access(facts: &Facts<'_>) -> StateAccess {
    let newest = RoomSeq(u64::MAX);
    if facts.membership_at(newest) == "join" || facts.history_at(newest) == "world_readable" {
        return StateAccess::Current;
    }
    let joined = facts.membership.iter().rposition(|(_, value)| value == "join");
    let left = joined.and_then(|last| facts.membership.get(last + 1));
    left.map_or(StateAccess::Denied, |(seq, _)| StateAccess::At(*seq))
}

fn value_at(values: &[(RoomSeq, String)], seq: RoomSeq) -> Option<&str> {
    let after = values.partition_point(|(at, _)| *at <= seq);
    values.get(after.checked_sub(1)?).map(|(_, value)| value.as_str())
}
