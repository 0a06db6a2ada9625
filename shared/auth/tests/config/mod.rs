//! The configuration that the tests begin with.

use ruma::owned_server_name;
use tern_model::{Accounts, Config, Limits};

pub(crate) fn config() -> Config {
    Config {
        server_name: owned_server_name!("example.org"),
        public_url: None,
        signing_key_id: "ed25519:a".to_owned(),
        signing_key: vec![1; 32],
        token_key: vec![7; 32],
        admin_token: None,
        open_registration: false,
        registration_token: None,
        unlimited: false,
        limits: Limits::default(),
        accounts: Accounts::default(),
        outbound_private: false,
        default_room_version: None,
        support: None,
        federation: tern_model::Federation::default(),
    }
}
