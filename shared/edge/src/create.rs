//! `POST /createRoom`, run in the proxy: plan the room, reserve its alias, hand it to its hub.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use futures::{StreamExt, TryStreamExt, stream};
use ruma::{OwnedRoomId, OwnedUserId, RoomId, ServerName, UserId};
use tern_model::{Config, MatrixError};
use tern_ports::{
    Clock, Entropy, Transport, ask_room, ask_storage,
    wire::{
        room::{ChangeMembership, CreateRoom, Draft, MembershipAction},
        storage::{RegisterRoom, ReleaseAlias},
    },
};
use tern_room::{Plan, Profile, Signer, plan};

pub use tern_room::CreateRoomRequest;

use crate::{
    federation::inviting::{self, Invite},
    join::{invited, is_local},
    profile,
};

/// Most users that can be invited while creating a room.
const MAX_INVITES: usize = 100;
/// Profiles that are read, and other servers that are asked, at the same time: a worker may have six connections open.
const AT_ONCE: usize = 6;

/// The default room version, and all that rooms can be made with.
pub fn room_versions(config: &Config) -> (&str, impl Iterator<Item = &'static str>) {
    let default = config.default_room_version.as_deref().unwrap_or(tern_room::DEFAULT.id);
    (default, tern_room::SUPPORTED.iter().map(|version| version.id))
}

/// Rooms can be made with this version.
pub fn makes_rooms_of(version: &str) -> bool {
    tern_room::Version::find(version).is_some()
}

/// Makes a room. The hub commits all of its events or none; with an alias or as a listed room it is registered before,
/// and that is undone when the hub refuses. Users of other servers are invited when it is there; when none of them can be, the
/// creator leaves again a room that nobody else was invited to or can find.
///
/// # Errors
/// What the request asks for cannot be, or the alias is taken; 403 `M_FORBIDDEN` for users of servers that are not met; that of
/// the first invite, where none can be sent.
pub async fn create_room<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    creator: &UserId,
    request: &CreateRoomRequest,
) -> Result<OwnedRoomId, MatrixError> {
    let signer = rooms_signer(config)?;
    let invited = invitees(config, request)?;
    let is_for_others = !invited.is_empty() || request.room_alias_name.is_some() || is_open(request);
    let (room_id, elsewhere) =
        found(edge, creator, (&of_some_version(config, request), invited), &signer, None).await?;
    let invites = stream::iter(elsewhere).map(|draft| invite(edge, config, (&room_id, creator), draft));
    let answers: Vec<Result<(), MatrixError>> = invites.buffered(AT_ONCE).collect().await;
    // Whoever could not be invited can be invited again. Where that is everybody, and nobody else finds the room, it is of no
    // use, and another attempt would make another one.
    let is_for_nobody = !is_for_others && answers.iter().all(Result::is_err);
    match answers.into_iter().find_map(Result::err) {
        Some(refusal) if is_for_nobody => {
            abandon(edge, &room_id, creator).await;
            Err(refusal)
        }
        _ => Ok(room_id),
    }
}

/// Invites a user of another server into a room that is made.
async fn invite<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    (room_id, caller): (&RoomId, &UserId),
    draft: Draft,
) -> Result<(), MatrixError> {
    let target = OwnedUserId::try_from(draft.state_key.unwrap_or_default());
    let target = target.map_err(|_| MatrixError::invalid_param("Not a user id"))?;
    let invite = Invite { room_id, caller, target, reason: None, content: Some(draft.content) };
    inviting::invite(edge, config, invite).await.map(drop)
}

/// Everybody finds the room, or may join it.
fn is_open(request: &CreateRoomRequest) -> bool {
    request.visibility.as_deref() == Some("public") || request.preset.as_deref() == Some("public_chat")
}

/// Takes the creator out of the room again. Best effort: the answer is the refusal in any case.
async fn abandon<E: Transport>(edge: &E, room_id: &RoomId, creator: &UserId) {
    let (caller, target) = (creator.to_owned(), creator.to_owned());
    let leave = ChangeMembership { caller, action: MembershipAction::Leave, target, reason: None, content: None };
    let _ = ask_room(edge, room_id, leave).await;
}

/// The request with the operator's default where it names no version.
fn of_some_version<'a>(config: &Config, request: &'a CreateRoomRequest) -> Cow<'a, CreateRoomRequest> {
    match (&request.room_version, &config.default_room_version) {
        (None, Some(default)) => {
            Cow::Owned(CreateRoomRequest { room_version: Some(default.clone()), ..request.clone() })
        }
        _ => Cow::Borrowed(request),
    }
}

/// The key that signs a new room's first event.
pub(crate) fn rooms_signer(config: &Config) -> Result<Signer, MatrixError> {
    Signer::new(config.server_name.clone(), &config.signing_key_id, &config.signing_key)
        .map_err(|_| MatrixError::internal())
}

/// Plans the room, reserves its names and has its hub make it. `last` is sent after everything else. With the room's id come the
/// invites of users of other servers, whose servers have to agree before.
pub(crate) async fn found<E: Transport + Clock + Entropy>(
    edge: &E,
    creator: &UserId,
    (request, invited): (&CreateRoomRequest, BTreeSet<OwnedUserId>),
    signer: &Signer,
    last: Option<Draft>,
) -> Result<(OwnedRoomId, Vec<Draft>), MatrixError> {
    let profiles = profiles(edge, creator, invited).await?;
    let mut entropy = [0; 18];
    edge.fill(&mut entropy);
    let plan = plan(request, creator, &profiles, entropy, edge.now(), signer)?;
    let registered = register(edge, creator, &plan).await?;
    let room_id = plan.room_id.clone();
    let mut create = command(plan);
    let elsewhere = create.drafts.extract_if(.., |draft| invites_elsewhere(signer.server_name(), draft)).collect();
    create.drafts.extend(last);
    let made = ask_room(edge, &room_id, create).await;
    if let (Err(_), true) = (&made, registered) {
        // Best effort: the answer is the hub's refusal in any case.
        let _ = ask_storage(edge, ReleaseAlias { room_id: room_id.clone() }).await;
    }
    made.map(|_| (room_id, elsewhere))
}

/// The draft invites a user of another server.
fn invites_elsewhere(own: &ServerName, draft: &Draft) -> bool {
    invited(draft).is_some_and(|target| target.server_name() != own)
}

/// The users to invite; names that are no user ids are left to the plan to refuse.
fn invitees(config: &Config, request: &CreateRoomRequest) -> Result<BTreeSet<OwnedUserId>, MatrixError> {
    let named = request.invite.iter().flatten();
    let invited: BTreeSet<_> = named.filter_map(|name| OwnedUserId::try_from(name.as_str()).ok()).collect();
    if invited.len() > MAX_INVITES {
        return Err(MatrixError::invalid_param(format!("More than {MAX_INVITES} invites in one request")));
    }
    // Of others the room knows nothing but the name. Those of servers that are not met are refused before it is made.
    let mut others = invited.iter().filter(|user_id| !is_local(config, user_id));
    others.try_for_each(|user_id| inviting::server_of(config, user_id).map(drop))?;
    Ok(invited.into_iter().filter(|user_id| is_local(config, user_id)).collect())
}

async fn profiles(
    edge: &impl Transport,
    creator: &UserId,
    mut users: BTreeSet<OwnedUserId>,
) -> Result<BTreeMap<OwnedUserId, Profile>, MatrixError> {
    users.insert(creator.to_owned());
    let reads = users.into_iter().map(|user_id| async move {
        let profile = if *user_id == *creator {
            profile::in_rooms(edge, &user_id).await?
        } else {
            profile::of_invitee(edge, &user_id, creator).await?
        };
        Ok::<_, MatrixError>((user_id, profile))
    });
    stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await
}

/// Reserves alias and listing; false when the room wants neither. In any case asks whether there is a place for the room.
async fn register<E: Transport + Clock>(edge: &E, creator: &UserId, plan: &Plan) -> Result<bool, MatrixError> {
    let register = RegisterRoom {
        room_id: plan.room_id.clone(),
        creator: creator.to_owned(),
        alias: plan.alias.clone(),
        public: plan.published,
        ts: edge.now(),
    };
    ask_storage(edge, register).await?;
    Ok(plan.alias.is_some() || plan.published)
}

fn command(plan: Plan) -> CreateRoom {
    let draft = |draft: tern_room::Draft| Draft {
        sender: draft.sender,
        kind: draft.kind,
        state_key: draft.state_key,
        content: draft.content,
        redacts: draft.redacts,
    };
    CreateRoom {
        version: plan.version.id.to_owned(),
        create: plan.create.raw().clone(),
        drafts: plan.drafts.into_iter().map(draft).collect(),
    }
}
