//! Every question one part may ask another, and its answer. One enum per boundary.
//!
//! A frame is the wire version, a line feed, and one JSON document: a command on the way there, `{"Ok":…}` or
//! `{"Err":…}` on the way back. JSON keeps raw events raw: they are spliced in, not re-serialised. Within a version
//! only optional fields may be added, so that the two workers can be deployed one after the other.

pub mod accounts;
pub mod adopt;
pub mod archive;
pub mod backup;
pub mod delayed;
pub mod destination;
pub mod device_sign_in;
pub mod directory;
pub mod ephemeral;
pub mod frame;
pub mod grant;
pub mod handshake;
pub mod invite;
pub mod keys;
pub mod media;
pub mod notifications;
pub mod one_time_store;
pub mod places;
pub mod policy;
pub mod presence;
pub mod pushers;
pub mod receive;
pub mod relations;
pub mod relay;
pub mod remote_keys;
pub mod room;
pub mod room_command;
pub mod search;
pub mod server_keys;
pub mod server_reads;
pub mod storage;
pub mod sync;
pub mod threads;
pub mod threepid;
pub mod troubles;
pub mod user;
pub mod user_command;

pub use destination::{DestinationCommand, DestinationRequest};
pub use device_sign_in::{DeviceSignInCommand, DeviceSignInRequest};
pub use media::{MediaCommand, MediaRequest};
pub use one_time_store::{OneTimeStoreCommand, OneTimeStoreRequest};
pub use relay::{RelayCommand, RelayRequest};
pub use room_command::{RoomCommand, RoomRequest};
pub use storage::{StorageCommand, StorageRequest};
pub use user_command::{UserCommand, UserRequest};

/// What a command is called in frames and metrics: its name, or the one that it had before.
macro_rules! wire_name {
    ($name:ident) => {
        stringify!($name)
    };
    ($name:ident $wire:literal) => {
        $wire
    };
}
pub(crate) use wire_name;

/// Declares a boundary: the enum of commands, and for each command its name in frames if it is another, the type of its reply
/// and what it says of itself ([`policy`]).
macro_rules! boundary {
    (
        $(#[$doc:meta])* $command:ident, $(#[$trait_doc:meta])* $request:ident, $policy:ty, $declare:ident,
        { $($name:ident $(as $wire:literal)? => $reply:ty, $declaration:tt;)* }
    ) => {
        $(#[$doc])*
        #[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
        pub enum $command {
            $(#[doc = concat!("See [`", stringify!($name), "`].")] $(#[serde(rename = $wire)])? $name(Box<$name>),)*
        }

        impl $command {
            /// The command's name, for metrics and logs.
            pub const fn name(&self) -> &'static str {
                match self { $(Self::$name(_) => crate::wire::wire_name!($name $($wire)?),)* }
            }

            /// Every command with its row of the table.
            #[cfg(test)]
            pub(crate) const DECLARED: &'static [(&'static str, &'static str)] =
                &[$((stringify!($name), stringify!($declaration)),)*];

            /// What the command says of itself.
            pub fn policy(&self) -> $policy {
                match self { $(Self::$name(ask) => $request::policy(&**ask),)* }
            }
        }

        $(#[$trait_doc])*
        pub trait $request: Into<$command> {
            /// What comes back.
            type Reply: serde::Serialize + serde::de::DeserializeOwned;

            /// What the command says of itself.
            fn policy(&self) -> $policy;
        }

        $(
            impl From<$name> for $command {
                fn from(request: $name) -> Self { Self::$name(Box::new(request)) }
            }
            impl $request for $name {
                type Reply = $reply;

                fn policy(&self) -> $policy {
                    $declare!(self, $declaration)
                }
            }
        )*
    };
}
pub(crate) use boundary;

/// Done; nothing to say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {}
