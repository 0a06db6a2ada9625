//! `POST /rooms/{roomId}/upgrade`, run in the proxy: make the new room, then close the old one.

use std::collections::BTreeSet;

use ruma::{OwnedRoomId, RoomId};
use serde_json::{Map, Value};
use tern_model::{Caller, Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Entropy, Transport, ask_room, ask_storage,
    wire::{
        directory::MoveAliases,
        room::{Draft, ReadForUpgrade, SendEvent, UpgradeSource},
    },
};
use tern_room::upgrade::{OldState, Successor, closed, successor, tombstone};

pub use tern_room::upgrade::UpgradeRequest;

use crate::create::{found, rooms_signer};

/// Upgrades a room. The aliases go over before the tombstone stands, and come back when it is refused.
///
/// # Errors
/// 403 for those who may not close the room, 400 for an unknown version.
pub async fn upgrade<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    caller: &Caller,
    room_id: &RoomId,
    request: &UpgradeRequest,
) -> Result<OwnedRoomId, MatrixError> {
    let user_id = &caller.user_id;
    let signer = rooms_signer(config)?;
    let UpgradeSource { last, state } = ask_room(edge, room_id, ReadForUpgrade { caller: user_id.clone() }).await?;
    let state = state.iter().map(RawJson::read).collect::<Result<Vec<OldState>, _>>();
    let state = state.map_err(|_| MatrixError::internal())?;
    let levels = state.iter().find(|event| event.kind == "m.room.power_levels").map(|event| event.content.clone());
    let has_alias = state.iter().any(|event| event.kind == "m.room.canonical_alias" && !event.content.is_empty());
    let Successor { request, levels: last_levels } = successor(request, user_id, room_id, last.as_str(), state)?;
    let last_levels = draft(caller, "m.room.power_levels", &last_levels)?;
    let (new, _) = found(edge, user_id, (&request, BTreeSet::new()), &signer, Some(last_levels)).await?;
    let there = MoveAliases { from: room_id.to_owned(), to: new.clone() };
    ask_storage(edge, there).await?;
    let tombstone = tombstone(user_id, &new).map_err(|_| MatrixError::internal())?;
    let tombstone = Draft {
        sender: tombstone.sender,
        kind: tombstone.kind,
        state_key: tombstone.state_key,
        content: tombstone.content,
        redacts: None,
    };
    if let Err(error) = send(edge, caller, room_id, tombstone).await {
        // Best effort: the answer is the refusal in any case.
        let _ = ask_storage(edge, MoveAliases { from: new, to: room_id.to_owned() }).await;
        return Err(error);
    }
    // From here on the room is replaced; what cannot be done any more is left as it is.
    if has_alias {
        let _ = send(edge, caller, room_id, draft(caller, "m.room.canonical_alias", &Map::new())?).await;
    }
    if let Some(closed) = closed(&levels.unwrap_or_default()) {
        let _ = send(edge, caller, room_id, draft(caller, "m.room.power_levels", &closed)?).await;
    }
    Ok(new)
}

async fn send<E: Transport>(edge: &E, caller: &Caller, room_id: &RoomId, draft: Draft) -> Result<(), MatrixError> {
    ask_room(
        edge,
        room_id,
        SendEvent { draft, device_id: caller.device_id.clone(), txn_id: None, ts: None, sticky_ms: None },
    )
    .await?;
    Ok(())
}

fn draft(caller: &Caller, kind: &str, content: &Map<String, Value>) -> Result<Draft, MatrixError> {
    let content = RawJson::from_value(content).map_err(|_| MatrixError::internal())?;
    let (sender, state_key) = (caller.user_id.clone(), Some(String::new()));
    Ok(Draft { sender, kind: kind.to_owned(), state_key, content, redacts: None })
}
