//! OpenID tokens prove who somebody is, for an hour, and nothing else.

mod config;

use tern_auth::{openid, token};
use tern_model::{Caller, Config, Millis};

fn config(key: u8) -> Config {
    Config { server_name: ruma::owned_server_name!("tern.test"), token_key: vec![key; 32], ..config::config() }
}

#[test]
fn a_token_names_its_user_until_it_expires() {
    let (config, now) = (config(1), Millis(1_790_000_000_000));
    let user = ruma::user_id!("@alice:tern.test");
    let minted = openid::mint(&config, user, now).unwrap();
    assert_eq!(openid::check(&config, &minted, now).as_deref(), Some(user));
    assert_eq!(openid::check(&config, &minted, now.plus(openid::LIFETIME)), None);
    assert_eq!(openid::check(&self::config(2), &minted, now), None, "another server's key");
    assert_eq!(openid::check(&config, "nonsense", now), None);
}

#[test]
fn it_is_no_access_token_nor_the_other_way_round() {
    let (config, now) = (config(1), Millis(1_790_000_000_000));
    let user = ruma::user_id!("@alice:tern.test");
    let minted = openid::mint(&config, user, now).unwrap();
    assert!(token::verify(&config, &minted, now).is_err());
    let caller = Caller { user_id: user.to_owned(), device_id: "PHONE".into() };
    let access = token::mint(&config, &caller, "session", true, now, [0; 6]).unwrap();
    assert_eq!(openid::check(&config, &access.access_token, now), None);
}
