//! What each command says of itself, beside its name in the table of its boundary: whoever adds a command says all of it.
//!
//! There are no defaults. A row of a `boundary!` table that leaves a cell out matches no rule of its policy's macro, and a
//! command without a row has no `impl` of the boundary's trait and no variant: neither compiles. A cell is one of the words
//! of its type, or, in parentheses, a function of the command, for what depends on what it carries.

use tern_model::MatrixError;

use super::user::SessionRef;

/// What becomes of a command to an object that never was: one without tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absent {
    /// The object is made.
    Create,
    /// A user's hub is made when the registry knows the user. Otherwise the answer is [`Self::Done`].
    Registered,
    /// A user's hub is made for an application service, which acts for users without a session and is let in by the proxy.
    /// Anybody else's session cannot be open: 401 `M_UNKNOWN_TOKEN`.
    Service,
    /// Nothing is to be done, `{}`.
    Done,
    /// There is none of it, `[]`.
    Empty,
    /// There is no such user: 404 `M_NOT_FOUND`.
    UnknownUser,
    /// 401 `M_UNKNOWN_TOKEN`.
    UnknownToken,
    /// 400 `invalid_grant` (RFC 6749, 5.2).
    InvalidGrant,
    /// Nobody is in a room that is not there: 403 `M_FORBIDDEN`.
    Forbidden,
    /// The command's own answer, as its documentation says; it makes nothing.
    Own,
}

impl Absent {
    /// Of a command that is a client's when it carries a session, which cannot be open in a hub that never was.
    pub(crate) const fn unless_of_client(self, session: Option<&SessionRef>) -> Self {
        if session.is_some() { Self::Service } else { self }
    }
}

/// Whether anything is another afterwards. That a session was seen, and copies for the reader's sake, do not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Nothing is.
    Read,
    /// Something may be.
    Write,
}

/// What the answer to a command tells of the user's public keys, and so what must be in their copy before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tells {
    /// Nothing.
    Nobody,
    /// That they were changed, now or, when the command is a repeated one, before.
    Change,
    /// That there are none any more, since the account ends.
    End,
    /// How they are.
    Keys,
}

/// Whether a suspended user may cause it (Client-Server API, "Account suspension").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Suspended {
    /// It is among what they keep, or nobody's request.
    Allowed,
    /// 403 `M_USER_SUSPENDED`.
    Refused,
}

/// On whose behalf a user's hub is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cause<'a> {
    /// A client's, whose session has to be open: the hub looks at it before anything else.
    Client(&'a SessionRef),
    /// A client's, whose session the command itself looks at, since it asks more or less of it.
    Own(&'a SessionRef),
    /// Another part's, or a page's, with a secret of its own.
    Server,
}

impl<'a> Cause<'a> {
    /// The session, if one comes with it.
    pub const fn session(self) -> Option<&'a SessionRef> {
        match self {
            Self::Client(session) | Self::Own(session) => Some(session),
            Self::Server => None,
        }
    }
}

/// What a command to a user's hub says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UserPolicy<'a> {
    /// What becomes of it while there is no such hub.
    pub absent: Absent,
    /// Whether it changes anything.
    pub access: Access,
    /// What its answer tells of the user's public keys.
    pub tells: Tells,
    /// Whether a suspended user may cause it.
    pub suspended: Suspended,
    /// Who causes it.
    pub cause: Cause<'a>,
}

/// What a command to a room's hub says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RoomPolicy {
    /// What becomes of it while there is no such room.
    pub absent: Absent,
    /// Whether it changes anything.
    pub access: Access,
    /// Whether a suspended user may cause it.
    pub suspended: Suspended,
}

/// What a command to the storage worker says of itself; its databases are always there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoragePolicy {
    /// Whether it changes anything.
    pub access: Access,
    /// Whether a suspended user may cause it.
    pub suspended: Suspended,
}

/// What a command to one of the small objects says of itself. No caller is known to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObjectPolicy {
    /// What becomes of it while nothing is there.
    pub absent: Absent,
    /// Whether it changes anything.
    pub access: Access,
}

/// How whoever causes what a part sends stands with the administrators, as far as that part knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Standing {
    /// Nobody's in particular: the server's own, a stranger's, an administrator's.
    Nobody,
    /// Well.
    Good,
    /// Suspended.
    Suspended,
    /// Not asked: the user's own hub judges what it is sent, and nothing else may be written.
    #[default]
    Unknown,
}

impl Standing {
    /// Refuses what somebody who stands so may not cause.
    ///
    /// # Errors
    /// 403 `M_USER_SUSPENDED`; 500 where nobody has asked, which is an error in a route's class.
    pub fn admit(self, suspended: Suspended) -> Result<(), MatrixError> {
        match (self, suspended) {
            (Self::Nobody | Self::Good, _) | (_, Suspended::Allowed) => Ok(()),
            (Self::Suspended, Suspended::Refused) => Err(MatrixError::user_suspended()),
            (Self::Unknown, Suspended::Refused) => Err(MatrixError::internal()),
        }
    }
}

/// One cell: a word of the type, or a function of the command.
macro_rules! cell {
    ($kind:ident, $ask:ident, ($of:expr)) => {
        ($of)($ask)
    };
    ($kind:ident, $ask:ident, $word:ident) => {
        $crate::wire::policy::$kind::$word
    };
}
pub(crate) use cell;

/// `cause` of a [`UserPolicy`].
macro_rules! cause {
    ($ask:ident, Client) => {
        $crate::wire::policy::Cause::Client(&$ask.session)
    };
    ($ask:ident, Own) => {
        $crate::wire::policy::Cause::Own(&$ask.session)
    };
    ($ask:ident, Server) => {
        $crate::wire::policy::Cause::Server
    };
    ($ask:ident, ($of:expr)) => {
        ($of)($ask)
    };
}
pub(crate) use cause;

macro_rules! user_policy {
    ($ask:ident, [$absent:tt $access:tt $tells:tt $suspended:tt $cause:tt]) => {
        $crate::wire::policy::UserPolicy {
            absent: $crate::wire::policy::cell!(Absent, $ask, $absent),
            access: $crate::wire::policy::cell!(Access, $ask, $access),
            tells: $crate::wire::policy::cell!(Tells, $ask, $tells),
            suspended: $crate::wire::policy::cell!(Suspended, $ask, $suspended),
            cause: $crate::wire::policy::cause!($ask, $cause),
        }
    };
}
pub(crate) use user_policy;

macro_rules! room_policy {
    ($ask:ident, [$absent:tt $access:tt $suspended:tt]) => {
        $crate::wire::policy::RoomPolicy {
            absent: $crate::wire::policy::cell!(Absent, $ask, $absent),
            access: $crate::wire::policy::cell!(Access, $ask, $access),
            suspended: $crate::wire::policy::cell!(Suspended, $ask, $suspended),
        }
    };
}
pub(crate) use room_policy;

macro_rules! storage_policy {
    ($ask:ident, [$access:tt $suspended:tt]) => {
        $crate::wire::policy::StoragePolicy {
            access: $crate::wire::policy::cell!(Access, $ask, $access),
            suspended: $crate::wire::policy::cell!(Suspended, $ask, $suspended),
        }
    };
}
pub(crate) use storage_policy;

macro_rules! object_policy {
    ($ask:ident, [$absent:tt $access:tt]) => {
        $crate::wire::policy::ObjectPolicy {
            absent: $crate::wire::policy::cell!(Absent, $ask, $absent),
            access: $crate::wire::policy::cell!(Access, $ask, $access),
        }
    };
}
pub(crate) use object_policy;

#[cfg(test)]
mod tests {
    use super::{Standing, Suspended};
    use crate::wire::{
        DestinationCommand, DeviceSignInCommand, MediaCommand, OneTimeStoreCommand, RelayCommand, RoomCommand,
        RoomRequest, StorageCommand, UserCommand, UserRequest,
        keys::UploadKeys,
        policy::{Absent, Cause, Tells},
        room::{ChangeMembership, SendEvent},
        user::{CloseSessions, ListMemberships, SessionRef, WriteProfile},
    };
    use serde_json::{Value, json};

    type Declared = &'static [(&'static str, &'static str)];

    /// The cells of one column, by command.
    fn column(all: Declared, index: usize) -> impl Iterator<Item = (&'static str, String)> {
        all.iter().map(move |(name, row)| {
            // The compiler leaves spaces out around parentheses.
            let row = row.trim_matches(['[', ']']).replace('(', " (").replace(')', ") ");
            let cells = row.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
            (*name, cells.get(index).cloned().unwrap_or_else(|| panic!("{name}: {row}")))
        })
    }

    /// Commands with another word than this in a column, and what they have there.
    fn other_than(all: Declared, index: usize, word: &str) -> Vec<String> {
        column(all, index).filter(|(_, cell)| cell != word).map(|(name, cell)| format!("{name} {cell}")).collect()
    }

    fn read<T: serde::de::DeserializeOwned>(value: Value) -> T {
        serde_json::from_value(value).unwrap_or_else(|error| panic!("{error}"))
    }

    /// What the specification suggests to forbid, and what comes to the same: sending, joining, knocking, inviting, making
    /// rooms, another profile. All the rest stays, leaving, signing out, keys, backups and deactivation among it.
    #[test]
    fn of_all_commands_a_suspended_user_is_refused_these() {
        assert_eq!(other_than(UserCommand::DECLARED, 3, "Allowed"), ["WriteProfile Refused"]);
        assert_eq!(
            other_than(RoomCommand::DECLARED, 2, "Allowed"),
            [
                "CreateRoom Refused",
                "SendEvent (Self::suspended)",
                "ChangeMembership (Self::suspended)",
                "DelayEvent Refused",
                "AdoptRoom Refused",
                "PrepareInvite Refused",
            ]
        );
        assert_eq!(other_than(StorageCommand::DECLARED, 1, "Allowed"), ["RegisterRoom Refused"]);
        assert!(other_than(MediaCommand::DECLARED, 1, "Allowed").is_empty());
    }

    #[test]
    fn a_suspended_user_may_redact_and_leave() {
        let event = |redacts: Option<&str>| {
            let draft = json!({"sender": "@a:x", "kind": "m.x", "content": {}, "redacts": redacts});
            read::<SendEvent>(json!({"draft": draft, "device_id": "D"})).policy().suspended
        };
        assert_eq!((event(None), event(Some("$e"))), (Suspended::Refused, Suspended::Allowed));
        for action in ["Join", "Knock", "Leave", "Invite", "Kick", "Ban", "Unban"] {
            let change = json!({"caller": "@a:x", "action": action, "target": "@a:x"});
            let expected = if action == "Leave" { Suspended::Allowed } else { Suspended::Refused };
            assert_eq!(read::<ChangeMembership>(change).policy().suspended, expected, "{action}");
        }
        let refusal =
            |standing: Standing| standing.admit(Suspended::Refused).map_err(|error| error.errcode.into_owned());
        assert_eq!(refusal(Standing::Suspended), Err("M_USER_SUSPENDED".to_owned()));
        assert_eq!(refusal(Standing::Unknown), Err("M_UNKNOWN".to_owned()), "nobody has asked");
        assert_eq!((refusal(Standing::Good), refusal(Standing::Nobody)), (Ok(()), Ok(())));
        assert_eq!(Standing::Suspended.admit(Suspended::Allowed), Ok(()));
    }

    #[test]
    fn only_writing_makes_an_object_and_reading_changes_no_keys() {
        let made = |all: Declared| {
            let made = column(all, 0).zip(column(all, 1));
            made.filter(|((_, absent), _)| matches!(absent.as_str(), "Create" | "Registered")).map(|(_, access)| access)
        };
        for all in [
            UserCommand::DECLARED,
            RoomCommand::DECLARED,
            OneTimeStoreCommand::DECLARED,
            DeviceSignInCommand::DECLARED,
            DestinationCommand::DECLARED,
        ] {
            assert!(made(all).all(|(_, access)| access == "Write"));
        }
        assert_eq!(made(RelayCommand::DECLARED).count(), 0);
        // Whoever makes up names of servers makes no objects that last: these come of shared rooms, or of a server
        // that has answered.
        assert_eq!(made(DestinationCommand::DECLARED).count(), 5);
        let outcomes = column(UserCommand::DECLARED, 1).zip(column(UserCommand::DECLARED, 2));
        for ((name, access), (_, tells)) in outcomes {
            assert!(access == "Write" || matches!(tells.as_str(), "Nobody" | "Keys"), "{name}");
        }
    }

    #[test]
    fn what_may_come_with_a_session_is_a_clients_when_it_does() {
        let session = json!({"device_id": "D", "session_id": "s"});
        let one = read::<SessionRef>(session.clone());
        let close = |session: Value| read::<CloseSessions>(json!({"session": session, "devices": null}));
        let list = |session: Value| read::<ListMemberships>(json!({"session": session}));
        let name = |session: Value| read::<WriteProfile>(json!({"session": session, "field": "f", "value": null}));
        let (closing, listing, naming) = (close(session.clone()), list(session.clone()), name(session));
        assert_eq!((closing.policy().absent, closing.policy().cause), (Absent::Service, Cause::Own(&one)));
        assert_eq!((listing.policy().absent, listing.policy().cause), (Absent::Service, Cause::Client(&one)));
        assert_eq!((naming.policy().absent, naming.policy().cause), (Absent::Service, Cause::Client(&one)));
        let (closing, listing, naming) = (close(Value::Null), list(Value::Null), name(Value::Null));
        assert_eq!((closing.policy().absent, closing.policy().cause), (Absent::Done, Cause::Server));
        assert_eq!((listing.policy().absent, listing.policy().cause), (Absent::UnknownUser, Cause::Server));
        assert_eq!((naming.policy().absent, naming.policy().cause), (Absent::Create, Cause::Server));
    }

    #[test]
    fn only_an_upload_of_identity_keys_tells_of_them() {
        let session = json!({"device_id": "D", "session_id": "s"});
        let tells = |value: Value| read::<UploadKeys>(value).policy().tells;
        assert_eq!(tells(json!({"session": session})), Tells::Nobody);
        assert_eq!(tells(json!({"session": session, "device_keys": {}})), Tells::Change);
    }
}
