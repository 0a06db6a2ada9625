//! Profiles: read by everybody, written by their owners.

use std::collections::BTreeMap;

use tern_edge::services;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_user,
    wire::user::{Profile, WriteProfile},
};

use crate::{
    edge::Edge,
    limits,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Open Get "/_matrix/client/v3/profile/{userId}" => read;
    Open Get "/_matrix/client/v3/profile/{userId}/{keyName}" => read_field;
    Hub(Profile) Put "/_matrix/client/v3/profile/{userId}/{keyName}" => write_field;
    Hub(Profile) Delete "/_matrix/client/v3/profile/{userId}/{keyName}" => delete_field;
    Open Get "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}" => read;
    Open Get "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}/{keyName}" => read_field;
    Hub(Profile) Put "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}/{keyName}" => write_field;
    Hub(Profile) Delete "/_matrix/client/unstable/uk.tcpip.msc4133/profile/{userId}/{keyName}" => delete_field;
};

/// Longest display name and avatar URL, in characters. Both go into member events, whose size is limited.
const MAX_NAME: usize = 256;
const MAX_AVATAR: usize = 1_000;
/// Longest name of a field, in bytes.
const MAX_KEY: usize = 255;

/// `GET /profile/{userId}`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    Answer::json(&profile_of(edge, request).await?)
}

/// `GET /profile/{userId}/{keyName}`
async fn read_field(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let key = request.param("keyName");
    let mut profile = profile_of(edge, request).await?;
    profile.retain(|field, _| field == key);
    if profile.is_empty() { Err(MatrixError::not_found("There is no such field")) } else { Answer::json(&profile) }
}

/// The profile of a user here, or of one of another server, which counts as asking about a stranger.
async fn profile_of(edge: &Edge, request: &Incoming) -> Result<Profile, MatrixError> {
    let user_id = request.user_id()?;
    if user_id.server_name() == edge.config.server_name {
        return services::profile(edge, &edge.config, &user_id).await;
    }
    let stranger = || limits::admit_stranger(edge, request.ip.as_deref());
    edge.profiles.read(edge, &user_id, stranger).await
}

/// `PUT /profile/{userId}/{keyName}`
async fn write_field(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let key = request.param("keyName");
    let mut body: BTreeMap<String, RawJson> = request.json()?;
    let value = body.remove(key).ok_or_else(|| MatrixError::missing_param(format!("{key} is missing")))?;
    check(key, &value)?;
    change(edge, request, key, Some(value)).await
}

/// `DELETE /profile/{userId}/{keyName}`
async fn delete_field(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    change(edge, request, request.param("keyName"), None).await
}

async fn change(edge: &Edge, request: &Incoming, key: &str, value: Option<RawJson>) -> Result<Answer, MatrixError> {
    let user_id = request.own_user_id()?;
    check_key(key)?;
    let write = WriteProfile { session: Some(request.session()?), field: key.to_owned(), value };
    ask_user(edge, &user_id, write).await?;
    Ok(Answer::empty())
}

/// `avatar_url`, `displayname`, or the Common Namespaced Identifier Grammar (Appendices), which `m.tz` follows.
fn check_key(key: &str) -> Result<(), MatrixError> {
    if key.len() > MAX_KEY {
        return Err(MatrixError::new(400, "M_KEY_TOO_LARGE", "The name of the field is too long"));
    }
    let part = |part: &str| {
        part.starts_with(|first: char| first.is_ascii_lowercase())
            && part.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'))
    };
    let namespaced = key.contains('.') && key.split('.').all(part);
    if namespaced || matches!(key, "avatar_url" | "displayname") {
        return Ok(());
    }
    Err(MatrixError::invalid_param("Invalid name of a profile field"))
}

/// Values that others will read as strings are strings, or null.
fn check(key: &str, value: &RawJson) -> Result<(), MatrixError> {
    let limit = match key {
        "displayname" => MAX_NAME,
        "avatar_url" => MAX_AVATAR,
        _ => return Ok(()),
    };
    let text: Option<String> = value.read().map_err(|_| MatrixError::bad_json(format!("{key} must be a string")))?;
    if text.is_some_and(|text| text.chars().count() > limit) {
        return Err(MatrixError::invalid_param(format!("{key} is longer than {limit} characters")));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_key;

    #[test]
    fn fields_have_the_names_of_the_specification() {
        for key in ["displayname", "avatar_url", "m.tz", "org.example.job_title", "a.b2"] {
            assert!(check_key(key).is_ok(), "{key}");
        }
        let long = format!("a.{}", "b".repeat(254));
        for key in ["", "name", "m.", ".tz", "M.tz", "m.2z", "m..tz", "m.t-z", "_a.b", long.as_str()] {
            assert!(check_key(key).is_err(), "{key}");
        }
    }
}
