//! What the server may judge of end-to-end encryption: the shape and the signatures of public keys, and which key is
//! given out next. It never sees a secret, and never reads a message.
//!
//! - [`signed`]: a JSON object with signatures, and checking one of them.
//! - [`device`]: the identity keys of a device, and the keys it hands out through the server.
//! - [`one_time`]: the keys of one algorithm that wait to be claimed.
//! - [`cross_signing`]: the three keys by which users vouch for their devices and for each other.
//!
//! Keys are kept as canonical JSON without `unsigned`, with every signature the server accepted merged into them: what is
//! stored is what is given out.

pub mod cross_signing;
pub mod device;
mod error;
pub mod one_time;
pub mod signed;

pub use cross_signing::{Change, CrossSigningKeys, Usage};
pub use error::KeyError;
pub use one_time::OneTimeKeys;
pub use signed::{Signature, Signed};
