//! How often somebody may do something, as an operator sets it.

use serde::Deserialize;

/// A rate: so many at once, and so many an hour in the long run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// How many may come at once after a pause. Zero closes the class.
    pub burst: u32,
    /// How many an hour come back.
    pub per_hour: u32,
}

/// Members of a room that are all told at once of what happens in it. With six hubs at a time and a few milliseconds for
/// each, the last of two hundred hears of a message within a fifth of a second; in larger rooms those who are there would
/// wait for those who are not. A smaller number would have whoever comes back ask more rooms before the first answer.
pub const LARGE_ROOM: u64 = 200;

/// Hubs that one object tells by itself. With more to tell, a room hands them to relays, and a relay to further ones. The
/// same number as [`LARGE_ROOM`], for the same reason: the last of two hundred hears within a fifth of a second, and a
/// room that tells everybody never needs a relay. Each relay costs a request, less than one for a hundred listeners.
pub const RELAY_ABOVE: u64 = 200;

/// Declares the classes and the rate each has unless the operator says otherwise.
macro_rules! classes {
    ($($(#[$doc:meta])* $class:ident $field:ident = $burst:literal, $per_hour:literal;)*) => {
        /// What somebody does, as far as rate limits tell it apart.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Class {
            $($(#[$doc])* $class,)*
        }

        impl Class {
            /// Every class.
            pub const ALL: &[Self] = &[$(Self::$class,)*];

            /// Its name in the configuration.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$class => stringify!($field),)* }
            }
        }

        /// The rate of each class.
        #[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct Limits {
            $($(#[$doc])* pub $field: Rate,)*
            /// A room that ever had more members than this tells only those who listen ([`LARGE_ROOM`] by default).
            pub large_room: u64,
            /// With more hubs to tell than this, relays tell them ([`RELAY_ABOVE`] by default).
            pub relay_above: u64,
        }

        impl Default for Limits {
            fn default() -> Self {
                Self { $($field: Rate { burst: $burst, per_hour: $per_hour },)* large_room: LARGE_ROOM, relay_above: RELAY_ABOVE }
            }
        }

        impl Limits {
            /// The rate of a class.
            pub const fn of(&self, class: Class) -> Rate {
                match class { $(Class::$class => self.$field,)* }
            }
        }
    };
}

classes! {
    /// Messages and state, per user.
    Message message = 100, 18_000;
    /// Redactions, per user.
    Redact redact = 100, 18_000;
    /// Joins and knocks, per user.
    Join join = 20, 600;
    /// Invites, kicks and bans, per user.
    Invite invite = 30, 900;
    /// New rooms and room upgrades, per user.
    CreateRoom create_room = 10, 120;
    /// Receipts, typing, presence, read markers and to-device messages, per user.
    Ephemeral ephemeral = 200, 36_000;
    /// Profile changes, per user: each is carried into all of the user's rooms.
    Profile profile = 10, 120;
    /// Claims of one-time keys and queries of other users' devices, per user.
    Keys keys = 100, 7_200;
    /// Uploads of media, per user.
    Upload upload = 30, 1_200;
    /// Downloads and thumbnails, per user.
    Download download = 400, 72_000;
    /// Previews of addresses, per user.
    Preview preview = 30, 1_200;
    /// Searches in messages, rooms and users, per user.
    Search search = 30, 1_800;
    /// Reports of rooms, events and users, per user.
    Report report = 10, 60;
    /// Anything else that a signed-in user asks, sync included, per user.
    Other other = 400, 72_000;
    /// Anything that is asked without a token, per address.
    Public public = 200, 36_000;
    /// Requests of other servers, per server.
    Federation federation = 1_000, 180_000;
    /// Requests that are refused for their token or signature, per address, and servers whose keys have to be asked for.
    BadToken bad_token = 100, 3_600;
    /// Registrations of OAuth clients, per address: each is stored until it is clear that nobody uses it.
    RegisterClient register_client = 20, 60;
    /// Refreshes, per session: one is due every five minutes.
    Refresh refresh = 30, 360;
    /// Attempts to sign in, per address, counted exactly.
    Login login = 20, 240;
    /// Wrong guesses at an account's password, counted exactly: from each address it was signed in from lately, from all others
    /// together, and by whoever is signed in.
    Password password = 10, 60;
    /// Registrations, per address, counted exactly.
    Register register = 10, 60;
    /// Mails, per address where they are asked for and per mailbox where they go, counted exactly.
    Mail mail = 5, 20;
}
