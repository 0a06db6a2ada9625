//! Configuration from variables and secrets.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use ruma::OwnedServerName;
use serde::de::DeserializeOwned;
use tern_auth::{appservice, turn_server::Relays, upstream::check as check_upstream};
use tern_edge::{create::makes_rooms_of, federation::own_keys};
use tern_media::Policy;
use tern_metrics::gather::INTERVAL_MS;
use tern_model::{Accounts, Config, Federation, Mail, Millis, Support, appservice::Appservice, upstream::Provider};
use worker::{Env, Error};

/// Most transports of calls: every client reads all of them.
const MOST_TRANSPORTS: usize = 16;
/// Fewest characters of a token that a collector of metrics has.
const LEAST_TOKEN: usize = 16;

/// Reads the configuration; fails when something needed is missing or malformed.
pub(crate) fn read(env: &Env) -> worker::Result<Config> {
    let server_name = required(env, "SERVER_NAME")?;
    let (signing_key_id, signing_key) = signing_key(&required(env, "SIGNING_KEY")?)?;
    let federation = federation(env, &signing_key_id)?;
    let token_key = decode("TOKEN_KEY", &required(env, "TOKEN_KEY")?)?;
    if token_key.len() < 32 {
        return Err(Error::RustError("TOKEN_KEY is shorter than 32 bytes".to_owned()));
    }
    Ok(Config {
        server_name: OwnedServerName::try_from(server_name.as_str())
            .map_err(|_| Error::RustError("SERVER_NAME is not a server name".to_owned()))?,
        public_url: optional(env, "PUBLIC_URL"),
        signing_key_id,
        signing_key,
        token_key,
        admin_token: optional(env, "ADMIN_TOKEN"),
        open_registration: flag(env, "OPEN_REGISTRATION"),
        registration_token: optional(env, "REGISTRATION_TOKEN"),
        unlimited: flag(env, "UNLIMITED"),
        limits: object(env, "LIMITS")?,
        accounts: Accounts {
            everybody_is_found: user_directory(env)?,
            presence: optional(env, "PRESENCE").is_none_or(|value| value != "false"),
            password_pepper: optional(env, "PASSWORD_PEPPER").map(String::into_bytes),
            registration_tokens: flag(env, "REGISTRATION_TOKENS"),
            terms: object(env, "TERMS")?,
            mail: mail(env)?,
            upstream: upstream(env)?,
            appservices: appservices(env)?,
            sso_clients: object(env, "SSO_CLIENTS")?,
        },
        outbound_private: flag(env, "OUTBOUND_PRIVATE"),
        default_room_version: default_room_version(env)?,
        support: support(env)?,
        federation,
    })
}

/// A version that no room can be made with stops the server rather than being passed over.
fn default_room_version(env: &Env) -> worker::Result<Option<String>> {
    let version = optional(env, "DEFAULT_ROOM_VERSION");
    if version.as_deref().is_some_and(|version| !makes_rooms_of(version)) {
        return Err(Error::RustError("DEFAULT_ROOM_VERSION is no version that rooms can be made with".to_owned()));
    }
    Ok(version)
}

/// Whether searches for users find everybody.
fn user_directory(env: &Env) -> worker::Result<bool> {
    match optional(env, "USER_DIRECTORY").as_deref() {
        None | Some("shared") => Ok(false),
        Some("all") => Ok(true),
        Some(_) => Err(Error::RustError("USER_DIRECTORY is neither shared nor all".to_owned())),
    }
}

/// How mail leaves. The secret is a variable of its own.
fn mail(env: &Env) -> worker::Result<Option<Mail>> {
    let mail: Option<Mail> = object(env, "MAIL")?;
    Ok(mail.map(|mail| Mail { secret: optional(env, "MAIL_SECRET").unwrap_or_default(), ..mail }))
}

/// Other providers. Their secrets are a variable of their own, by the providers' ids.
fn upstream(env: &Env) -> worker::Result<Vec<Provider>> {
    let mut providers: Vec<Provider> = object(env, "UPSTREAM")?;
    let mut secrets: BTreeMap<String, String> = object(env, "UPSTREAM_SECRETS")?;
    for provider in &mut providers {
        provider.secret = secrets.remove(&provider.id).unwrap_or_default();
    }
    check_upstream(&providers).map_err(|error| Error::RustError(format!("UPSTREAM: {error}")))?;
    Ok(providers)
}

/// How other servers are met.
fn federation(env: &Env, signing_key_id: &str) -> worker::Result<Federation> {
    let federation = Federation {
        old_keys: object(env, "OLD_SIGNING_KEYS")?,
        notaries: object(env, "KEY_NOTARIES")?,
        resolver: optional(env, "DNS_RESOLVER"),
        closed: optional(env, "FEDERATION").is_some_and(|value| value == "false"),
        allowed: servers(env, "FEDERATION_ALLOW")?,
        denied: servers(env, "FEDERATION_DENY")?.unwrap_or_default(),
    };
    let checked = own_keys::check(&federation, signing_key_id);
    checked.map_err(|error| Error::RustError(format!("OLD_SIGNING_KEYS: {error}")))?;
    Ok(federation)
}

/// Names of servers; nothing where they are not set.
fn servers(env: &Env, name: &str) -> worker::Result<Option<BTreeSet<OwnedServerName>>> {
    if optional(env, name).is_none() {
        return Ok(None);
    }
    let names: Vec<OwnedServerName> = object(env, name)?;
    let small = |server: &OwnedServerName| OwnedServerName::try_from(server.as_str().to_ascii_lowercase());
    let names: Result<_, _> = names.iter().map(small).collect();
    names.map(Some).map_err(|error| Error::RustError(format!("{name}: {error}")))
}

/// Whom people turn to.
fn support(env: &Env) -> worker::Result<Option<Support>> {
    let support: Option<Support> = object(env, "SUPPORT")?;
    let checked = support.as_ref().map_or(Ok(()), Support::check);
    checked.map_err(|error| Error::RustError(format!("SUPPORT: {error}")))?;
    Ok(support)
}

/// Application services; one that cannot be used stops the server rather than being passed over.
fn appservices(env: &Env) -> worker::Result<Vec<Appservice>> {
    let services: Vec<Appservice> = object(env, "APPSERVICES")?;
    appservice::check(&services).map_err(|error| Error::RustError(format!("APPSERVICES: {error}")))?;
    Ok(services)
}

/// The relays of calls. Their secret is a variable of its own.
pub(crate) fn relays(env: &Env) -> worker::Result<Option<Relays>> {
    let relays: Option<Relays> = object(env, "TURN")?;
    Ok(relays.map(|relays| Relays { secret: optional(env, "TURN_SECRET").unwrap_or_default(), ..relays }))
}

/// A transport of calls: its `type`, and what that type says of itself (MSC4143).
pub(crate) type RtcTransport = serde_json::Map<String, serde_json::Value>;

/// The transports of calls of several people, the preferred one first; one without a type stops the server.
pub(crate) fn transports(env: &Env) -> worker::Result<Vec<RtcTransport>> {
    let transports: Vec<RtcTransport> = object(env, "RTC_TRANSPORTS")?;
    let typed = |transport: &RtcTransport| transport.get("type").is_some_and(serde_json::Value::is_string);
    if transports.len() > MOST_TRANSPORTS || !transports.iter().all(typed) {
        return Err(Error::RustError(format!("RTC_TRANSPORTS: at most {MOST_TRANSPORTS} objects, each with a `type`")));
    }
    Ok(transports)
}

/// Reads the limits of media; what is not set is as it is by default.
pub(crate) fn media(env: &Env) -> worker::Result<Policy> {
    let default = Policy::default();
    Ok(Policy {
        max_upload: number(env, "MEDIA_MAX_UPLOAD")?.unwrap_or(default.max_upload),
        quota: number(env, "MEDIA_QUOTA")?,
        open_before: number(env, "MEDIA_OPEN_BEFORE")?.map(Millis),
        previews: flag(env, "URL_PREVIEWS"),
        ..default
    })
}

/// Milliseconds between two frames of metrics of an isolate; 0 for none at all.
pub(crate) fn metrics_interval(env: &Env) -> u64 {
    // Whoever mistypes it still gets metrics.
    number(env, "METRICS_INTERVAL_MS").ok().flatten().unwrap_or(INTERVAL_MS)
}

/// The token of whoever collects metrics and may do nothing else. One that can be guessed opens nothing.
pub(crate) fn metrics_token(env: &Env) -> Option<String> {
    optional(env, "METRICS_TOKEN").filter(|token| token.len() >= LEAST_TOKEN)
}

/// `ed25519:ID SEED`, the seed in unpadded base64, as other homeservers write their signing keys.
fn signing_key(text: &str) -> worker::Result<(String, Vec<u8>)> {
    let malformed = || Error::RustError("SIGNING_KEY is not `ed25519:ID SEED`".to_owned());
    let (id, seed) = text.trim().split_once(' ').ok_or_else(malformed)?;
    let seed = decode("SIGNING_KEY", seed)?;
    if !id.starts_with("ed25519:") || seed.len() != 32 {
        return Err(malformed());
    }
    Ok((id.to_owned(), seed))
}

fn decode(name: &str, text: &str) -> worker::Result<Vec<u8>> {
    STANDARD_NO_PAD
        .decode(text.trim().trim_end_matches('='))
        .map_err(|_| Error::RustError(format!("{name} is not base64")))
}

fn optional(env: &Env, name: &str) -> Option<String> {
    env.var(name).ok().map(|value| value.to_string()).filter(|value| !value.is_empty())
}

fn required(env: &Env, name: &str) -> worker::Result<String> {
    optional(env, name).ok_or_else(|| Error::RustError(format!("{name} is not set")))
}

fn number(env: &Env, name: &str) -> worker::Result<Option<u64>> {
    let parse = |text: String| text.parse().map_err(|_| Error::RustError(format!("{name} is not a number")));
    optional(env, name).map(parse).transpose()
}

fn flag(env: &Env, name: &str) -> bool {
    optional(env, name).is_some_and(|value| value == "true")
}

/// A JSON variable; its default when it is not set. One that cannot be read stops the server rather than being passed over.
fn object<T: DeserializeOwned + Default>(env: &Env, name: &str) -> worker::Result<T> {
    let Some(text) = text_of(env, name) else { return Ok(T::default()) };
    serde_json::from_str(&text).map_err(|error| Error::RustError(format!("{name}: {error}")))
}

/// The JSON of a variable, which may be written as an object or as a string.
fn text_of(env: &Env, name: &str) -> Option<String> {
    let value = js_sys::Reflect::get(env, &name.into()).ok().filter(|value| !value.is_undefined())?;
    match value.as_string() {
        Some(text) => Some(text).filter(|text| !text.is_empty()),
        None => js_sys::JSON::stringify(&value).ok()?.as_string(),
    }
}
