//! Addresses of people that belong to accounts: what the storage worker can be asked about them.

use ruma::OwnedUserId;
use serde::{Deserialize, Serialize};
use tern_model::Millis;

/// An identifier of another system, such as a mail address (Client-Server API, "Third-party identifiers").
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Threepid {
    /// What it is: `email`.
    pub medium: String,
    /// The address, as `tern_auth::mail` writes it.
    pub address: String,
    /// When it was proven.
    pub validated_at: Millis,
    /// When it became the account's.
    pub added_at: Millis,
}

/// Gives an account an identifier. Fails with 400 `M_THREEPID_IN_USE` when another has it; done also when this one has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddThreepid {
    /// The account.
    pub user_id: OwnedUserId,
    /// The identifier.
    pub threepid: Threepid,
}

/// Takes an identifier from an account. Done also when it has not got it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveThreepid {
    /// The account.
    pub user_id: OwnedUserId,
    /// What it is.
    pub medium: String,
    /// The address.
    pub address: String,
}

/// Unties an account from all that it has at one provider, unless nothing else lets its owner in: neither a password nor
/// an account at another provider. Answers whether something was untied.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RemoveSignIn {
    /// The account.
    pub user_id: OwnedUserId,
    /// The provider's medium.
    pub medium: String,
    /// The media of all providers that one can sign in with.
    pub providers: Vec<String>,
}

/// The identifiers of an account.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListThreepids {
    /// The account.
    pub user_id: OwnedUserId,
}

/// Whose an identifier is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FindThreepid {
    /// What it is.
    pub medium: String,
    /// The address.
    pub address: String,
}
