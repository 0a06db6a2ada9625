//! End-to-end encryption: the hub is the one place where the user's public keys are true.
//!
//! Each command is one synchronous turn and one transaction, and nothing leaves the hub before that is durable. So a
//! one-time key that somebody was given is gone for everybody else, whatever crashes or is repeated.
//!
//! | what | file |
//! |---|---|
//! | uploading and querying keys | [`keys`] |
//! | giving out one-time and fallback keys | [`claim`] |
//! | cross-signing keys and signatures | [`cross_signing`] |
//! | dehydrated devices | [`dehydrated`] |
//! | whose devices to look up again | [`device_lists`] |
//! | the copy from which others are answered | [`publish`] |
//! | telling others that the own devices changed | [`announce`] |

mod announce;
mod claim;
mod cross_signing;
mod dehydrated;
mod device_lists;
mod keys;
pub(super) mod publish;

pub(super) use keys::remove_keys;
