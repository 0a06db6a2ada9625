//! `POST /createRoom`: from the request to the events of the new room, in the spec's order.

use std::collections::{BTreeMap, BTreeSet};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::{
    OwnedRoomAliasId, OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId,
    state_res::check_state_independent_auth_rules,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_model::{Millis, Pdu, RawJson};

use crate::{
    build::build_create,
    draft::Draft,
    error::{BuildError, CreateError},
    preset::{Preset, power_levels},
    signer::Signer,
    version::{DEFAULT, Version},
};

/// The body of `POST /createRoom`.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CreateRoomRequest {
    /// `public` publishes the room in the directory; else `private`.
    pub visibility: Option<String>,
    /// Local part of the alias to make.
    pub room_alias_name: Option<String>,
    /// `m.room.name`.
    pub name: Option<String>,
    /// `m.room.topic`.
    pub topic: Option<String>,
    /// Users to invite.
    pub invite: Option<Vec<String>>,
    /// Third-party identifiers to invite; not supported.
    pub invite_3pid: Option<Vec<Value>>,
    /// Room version.
    pub room_version: Option<String>,
    /// Further content of `m.room.create`.
    pub creation_content: Option<Map<String, Value>>,
    /// State events to set.
    pub initial_state: Option<Vec<InitialState>>,
    /// `private_chat`, `trusted_private_chat` or `public_chat`.
    pub preset: Option<String>,
    /// Marks the invites as the start of a direct chat.
    pub is_direct: Option<bool>,
    /// Goes on top of the power levels the room starts with.
    pub power_level_content_override: Option<Map<String, Value>>,
}

/// One event of `initial_state`.
#[derive(Clone, Debug, Deserialize)]
pub struct InitialState {
    /// `type`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `state_key`, by default empty.
    #[serde(default)]
    pub state_key: String,
    /// `content`.
    pub content: Map<String, Value>,
}

/// How a user appears in member events.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `displayname`.
    pub displayname: Option<String>,
    /// `avatar_url`.
    pub avatar_url: Option<String>,
}

/// A room to be made: all of it or nothing.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its version.
    pub version: &'static Version,
    /// Its id.
    pub room_id: OwnedRoomId,
    /// The finished `m.room.create`.
    pub create: Pdu,
    /// What follows, in the spec's order; the creator's join first, the invites last.
    pub drafts: Vec<Draft>,
    /// Who is invited.
    pub invites: Vec<OwnedUserId>,
    /// The alias to register for it.
    pub alias: Option<OwnedRoomAliasId>,
    /// It is to be listed in the directory.
    pub published: bool,
}

/// Plans the room that `creator` asks for. `profiles` are those of the creator and the invited users, as far as known;
/// `entropy` is fresh random bytes, `now` the time.
///
/// # Errors
/// When the request asks for something that cannot be.
pub fn plan(
    request: &CreateRoomRequest,
    creator: &UserId,
    profiles: &BTreeMap<OwnedUserId, Profile>,
    entropy: [u8; 18],
    now: Millis,
    signer: &Signer,
) -> Result<Plan, CreateError> {
    let creation = CreationRequest::read(request, creator, signer.server_name())?;
    let (room_id, create) = create_event(&creation, entropy, now, signer)?;
    let mut drafts = vec![state(creator, "m.room.member", creator.as_str(), &member("join", profiles.get(creator)))?];
    let levels = power_levels(
        creation.version,
        creation.preset,
        &creation.equals,
        request.power_level_content_override.as_ref(),
    );
    drafts.push(state(creator, "m.room.power_levels", "", &levels.into())?);
    if let Some(alias) = &creation.alias {
        drafts.push(state(creator, "m.room.canonical_alias", "", &json!({ "alias": alias }))?);
    }
    drafts.extend(preset_and_initial_state(&creation)?);
    if let Some(name) = &request.name {
        drafts.push(state(creator, "m.room.name", "", &json!({ "name": name }))?);
    }
    if let Some(topic) = &request.topic {
        drafts.push(state(creator, "m.room.topic", "", &topic_content(topic))?);
    }
    for invitee in &creation.invites {
        let mut content = member("invite", profiles.get(invitee));
        if let (Some(content), Some(true)) = (content.as_object_mut(), request.is_direct) {
            content.insert("is_direct".to_owned(), true.into());
        }
        drafts.push(state(creator, "m.room.member", invitee.as_str(), &content)?);
    }
    Ok(Plan {
        version: creation.version,
        room_id,
        create,
        drafts,
        invites: creation.invites,
        alias: creation.alias,
        published: creation.published,
    })
}

/// The request with its parameters read.
struct CreationRequest<'a> {
    request: &'a CreateRoomRequest,
    creator: &'a UserId,
    version: &'static Version,
    preset: Preset,
    published: bool,
    alias: Option<OwnedRoomAliasId>,
    invites: Vec<OwnedUserId>,
    /// The creator and all who stand beside the creator.
    equals: BTreeSet<OwnedUserId>,
}

impl<'a> CreationRequest<'a> {
    fn read(request: &'a CreateRoomRequest, creator: &'a UserId, server: &ServerName) -> Result<Self, CreateError> {
        if request.invite_3pid.as_ref().is_some_and(|invites| !invites.is_empty()) {
            return Err(CreateError::ThirdPartyInvite);
        }
        let version = match request.room_version.as_deref() {
            Some(id) => Version::find(id).ok_or_else(|| CreateError::UnsupportedVersion(id.to_owned()))?,
            None => DEFAULT,
        };
        let published = match request.visibility.as_deref() {
            Some("public") => true,
            Some("private") | None => false,
            Some(_) => return Err(CreateError::InvalidParam("`visibility` must be `public` or `private`".into())),
        };
        let preset = match request.preset.as_deref() {
            Some(name) => Preset::find(name)
                .ok_or_else(|| CreateError::InvalidParam("`preset` is not one of the known ones".into()))?,
            None if published => Preset::PublicChat,
            None => Preset::PrivateChat,
        };
        let invites = invites(request, creator)?;
        let mut equals = BTreeSet::from([creator.to_owned()]);
        if preset == Preset::TrustedPrivateChat {
            equals.extend(invites.iter().cloned());
        }
        let alias = request.room_alias_name.as_deref().map(|name| alias(name, server)).transpose()?;
        Ok(Self { request, creator, version, preset, published, alias, invites, equals })
    }
}

fn invites(request: &CreateRoomRequest, creator: &UserId) -> Result<Vec<OwnedUserId>, CreateError> {
    let mut seen = BTreeSet::new();
    let mut invites = Vec::new();
    for text in request.invite.iter().flatten() {
        let user_id = OwnedUserId::try_from(text.as_str())
            .map_err(|_| CreateError::InvalidParam("`invite` contains something that is not a user id".into()))?;
        if user_id == *creator {
            return Err(CreateError::InvalidParam("You cannot invite yourself".into()));
        }
        if seen.insert(user_id.clone()) {
            invites.push(user_id);
        }
    }
    Ok(invites)
}

/// The full alias of a local part (Appendices, "Room Aliases").
fn alias(name: &str, server: &ServerName) -> Result<OwnedRoomAliasId, CreateError> {
    let invalid = || CreateError::InvalidParam("`room_alias_name` is not a valid local part".into());
    if name.is_empty() || name.contains([':', '\0']) || name.chars().any(char::is_whitespace) {
        return Err(invalid());
    }
    OwnedRoomAliasId::try_from(format!("#{name}:{server}")).map_err(|_| invalid())
}

fn create_event(
    creation: &CreationRequest<'_>,
    entropy: [u8; 18],
    now: Millis,
    signer: &Signer,
) -> Result<(OwnedRoomId, Pdu), CreateError> {
    let random = URL_SAFE_NO_PAD.encode(entropy);
    let content = creation_content(creation, &random)?;
    let draft = state(creation.creator, "m.room.create", "", &content.into())?;
    let given = if creation.version.room_id_is_create_hash() {
        None
    } else {
        Some(room_id(&format!("!{random}:{}", signer.server_name()))?)
    };
    let create = build_create(creation.version, given.as_deref(), &draft, now, signer)?;
    check_state_independent_auth_rules(&creation.version.rules.authorization, &create, |_| None::<&Pdu>)
        .map_err(|rule| CreateError::InvalidState(rule.into()))?;
    let room_id = match given {
        Some(room_id) => room_id,
        None => room_id(&create.id().as_str().replacen('$', "!", 1))?,
    };
    Ok((room_id, create))
}

/// The content of `m.room.create`.
fn creation_content(creation: &CreationRequest<'_>, random: &str) -> Result<Map<String, Value>, CreateError> {
    let mut content = creation.request.creation_content.clone().unwrap_or_default();
    if content.get("m.federate").is_some_and(|federate| !federate.is_boolean()) {
        return Err(CreateError::BadJson("`m.federate` must be a boolean".into()));
    }
    if content.get("type").is_some_and(|kind| !kind.is_string()) {
        return Err(CreateError::BadJson("`type` of a room must be a string".into()));
    }
    content.insert("room_version".to_owned(), creation.version.id.into());
    if creation.version.creator_in_content() {
        content.insert("creator".to_owned(), creation.creator.as_str().into());
    } else {
        content.remove("creator");
    }
    if creation.version.privileges_creators() {
        add_creators(&mut content, creation)?;
    }
    if creation.version.room_id_is_create_hash() {
        // Two rooms that one user makes in the same millisecond would otherwise get the same id (MSC4291).
        content.insert("tern.entropy".to_owned(), random.into());
    }
    Ok(content)
}

/// `additional_creators`: those the request names and those the preset makes equal, each once.
fn add_creators(content: &mut Map<String, Value>, creation: &CreationRequest<'_>) -> Result<(), CreateError> {
    let named: Vec<OwnedUserId> = match content.remove("additional_creators") {
        Some(value) => serde_json::from_value(value)
            .map_err(|_| CreateError::BadJson("`additional_creators` must be a list of user ids".into()))?,
        None => Vec::new(),
    };
    let mut all = creation.equals.clone();
    all.extend(named);
    all.remove(creation.creator);
    if !all.is_empty() {
        let all = all.iter().map(|user_id| user_id.as_str().into()).collect();
        content.insert("additional_creators".to_owned(), Value::Array(all));
    }
    Ok(())
}

/// The preset's events that `initial_state` does not set itself, then `initial_state` without what `name` and `topic`
/// overwrite.
fn preset_and_initial_state(creation: &CreationRequest<'_>) -> Result<Vec<Draft>, CreateError> {
    let initial = creation.request.initial_state.as_deref().unwrap_or_default();
    let mut drafts = Vec::with_capacity(initial.len() + 3);
    for (kind, content) in creation.preset.state() {
        if !initial.iter().any(|event| event.kind == kind && event.state_key.is_empty()) {
            drafts.push(state(creation.creator, kind, "", &content)?);
        }
    }
    for event in initial {
        // Whom `invite` names is counted, and asked whether they may be. Bans go along when a room is upgraded.
        if event.kind == "m.room.member" && event.content.get("membership") != Some(&json!("ban")) {
            return Err(CreateError::InvalidState("initial_state has no members: they are invited with invite".into()));
        }
        let overwritten = match event.kind.as_str() {
            "m.room.name" => creation.request.name.is_some(),
            "m.room.topic" => creation.request.topic.is_some(),
            _ => false,
        };
        if !(overwritten && event.state_key.is_empty()) {
            drafts.push(state(creation.creator, &event.kind, &event.state_key, &event.content.clone().into())?);
        }
    }
    Ok(drafts)
}

/// The topic as text and as a text block (Client-Server API, `m.room.topic`).
fn topic_content(topic: &str) -> Value {
    json!({ "topic": topic, "m.topic": { "m.text": [{ "body": topic }] } })
}

fn member(membership: &str, profile: Option<&Profile>) -> Value {
    let mut content = Map::new();
    if let Some(profile) = profile {
        for (name, value) in [("displayname", &profile.displayname), ("avatar_url", &profile.avatar_url)] {
            if let Some(value) = value {
                content.insert(name.to_owned(), value.as_str().into());
            }
        }
    }
    content.insert("membership".to_owned(), membership.into());
    content.into()
}

fn state(sender: &UserId, kind: &str, state_key: &str, content: &Value) -> Result<Draft, CreateError> {
    let content = RawJson::from_value(content).map_err(|error| BuildError::BadJson(error.to_string().into()))?;
    Ok(Draft::state(sender.to_owned(), kind, state_key, content))
}

fn room_id(text: &str) -> Result<OwnedRoomId, CreateError> {
    let room_id = RoomId::parse(text).map_err(|error| BuildError::Seal(error.to_string()))?;
    Ok(room_id)
}
