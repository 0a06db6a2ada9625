//! What other servers send besides events (Server-Server API, "EDUs"): changed devices, to-device messages, typing and
//! receipts. What is malformed, or about users of a third server, is passed over: no EDU fails a transaction.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, future::try_join, stream};
use ruma::{OwnedRoomId, OwnedServerName, OwnedUserId, ServerName};
use serde::Deserialize;
use tern_model::{BoundedVec, Caller, Config, EventRef, MatrixError, Millis, RawJson, ThreadId};
use tern_ports::{
    Transport, ask_destination, ask_room, ask_user,
    wire::{
        ephemeral::{ReadReceipt, ReceiveEphemeral, Typist},
        remote_keys::NoteRemoteDevices,
        user::DeliverToDevice,
    },
};

use crate::keys::AT_A_TIME;

/// Most EDUs of a transaction.
pub const MOST_EDUS: usize = 100;
/// Most users of this server who are sent something by one transaction: as many as this server lets a client address.
const MOST_RECIPIENTS: usize = 5_000;
/// Most rooms that are told by one transaction, and at a time.
const MOST_ROOMS: usize = 100;
const ROOMS_AT_A_TIME: usize = 6;
/// Longest type and message id, in bytes. The specification has 255 and 32 characters.
const LONGEST_NAME: usize = 255;

/// What a transaction brings, by whom it concerns.
#[derive(Default)]
struct Received {
    /// Users of the sender whose keys have changed.
    devices: BTreeSet<OwnedUserId>,
    /// In the order in which they came.
    to_device: BTreeMap<OwnedUserId, Vec<DeliverToDevice>>,
    rooms: BTreeMap<OwnedRoomId, (Vec<Typist>, Vec<ReadReceipt>)>,
}

/// Takes in what a server sent. When this is not an error, to-device messages are durable, and nobody is told the old keys of
/// those whose devices have changed. The same once more changes nothing.
///
/// # Errors
/// 503, 500 or 429 when a part of this server is out: the transaction is to be repeated.
pub async fn receive<E: Transport>(
    edge: &E,
    config: &Config,
    origin: &ServerName,
    edus: &[RawJson],
) -> Result<(), MatrixError> {
    let mut received = Received::default();
    for edu in edus {
        // None is one that nobody here understands.
        let _ = received.add(config, origin, edu);
    }
    let Received { devices, to_device, rooms } = received;
    try_join(note_devices(edge, origin, devices), deliver(edge, to_device)).await?;
    tell_rooms(edge, origin, rooms).await;
    Ok(())
}

impl Received {
    fn add(&mut self, config: &Config, origin: &ServerName, edu: &RawJson) -> Option<()> {
        #[derive(Deserialize)]
        struct Edu {
            edu_type: String,
            content: RawJson,
        }
        #[derive(Deserialize)]
        struct OfUser {
            user_id: OwnedUserId,
        }
        #[derive(Deserialize)]
        struct Typing {
            room_id: OwnedRoomId,
            user_id: OwnedUserId,
            typing: bool,
        }
        let Edu { edu_type, content } = edu.read().ok()?;
        match edu_type.as_str() {
            "m.device_list_update" | "m.signing_key_update" | "org.matrix.signing_key_update" => {
                let OfUser { user_id } = content.read().ok()?;
                self.devices.extend(is_of(&user_id, origin).then_some(user_id));
            }
            "m.typing" => {
                let Typing { room_id, user_id, typing } = content.read().ok()?;
                if is_of(&user_id, origin) {
                    self.rooms.entry(room_id).or_default().0.push(Typist { user_id, typing });
                }
            }
            "m.receipt" => self.add_receipts(origin, &content)?,
            "m.direct_to_device" => self.add_to_device(config, origin, &content)?,
            _ => {}
        }
        Some(())
    }

    fn add_receipts(&mut self, origin: &ServerName, content: &RawJson) -> Option<()> {
        #[derive(Deserialize)]
        struct OfRoom {
            #[serde(default, rename = "m.read")]
            read: BTreeMap<String, Read>,
        }
        #[derive(Deserialize)]
        struct Read {
            event_ids: Vec<EventRef>,
            data: Data,
        }
        #[derive(Deserialize)]
        struct Data {
            ts: u64,
            thread_id: Option<ThreadId>,
        }
        let rooms: BTreeMap<OwnedRoomId, OfRoom> = content.read().ok()?;
        for (room_id, OfRoom { read }) in rooms.into_iter().take(MOST_ROOMS) {
            let receipts = read.into_iter().filter_map(|(user_id, Read { mut event_ids, data })| {
                let user_id = OwnedUserId::try_from(user_id).ok().filter(|user_id| is_of(user_id, origin))?;
                let Data { ts, thread_id } = data;
                Some(ReadReceipt { user_id, event_id: event_ids.pop()?, thread_id, ts: Millis(ts) })
            });
            self.rooms.entry(room_id).or_default().1.extend(receipts);
        }
        Some(())
    }

    fn add_to_device(&mut self, config: &Config, origin: &ServerName, content: &RawJson) -> Option<()> {
        #[derive(Deserialize)]
        struct Messages {
            sender: OwnedUserId,
            #[serde(rename = "type")]
            kind: String,
            message_id: String,
            messages: BTreeMap<String, BTreeMap<String, RawJson>>,
        }
        let Messages { sender, kind, message_id, messages } = content.read().ok()?;
        if !is_of(&sender, origin) || kind.len() > LONGEST_NAME || message_id.len() > LONGEST_NAME {
            return None;
        }
        for (user_id, mut messages) in messages {
            let Ok(user_id) = OwnedUserId::try_from(user_id) else { continue };
            let is_new = !self.to_device.contains_key(&user_id);
            if user_id.server_name() != config.server_name || is_new && self.to_device.len() >= MOST_RECIPIENTS {
                continue;
            }
            messages.retain(|_, content| content.text().starts_with('{'));
            // Servers do not say from which device it is.
            let sender = Caller { user_id: sender.clone(), device_id: "".into() };
            let delivery = DeliverToDevice { sender, kind: kind.clone(), txn_id: message_id.clone(), messages };
            self.to_device.entry(user_id).or_default().push(delivery);
        }
        Some(())
    }
}

/// A server speaks for its own users.
fn is_of(user_id: &OwnedUserId, origin: &ServerName) -> bool {
    user_id.server_name().as_str().eq_ignore_ascii_case(origin.as_str())
}

async fn note_devices<E: Transport>(
    edge: &E,
    origin: &ServerName,
    users: BTreeSet<OwnedUserId>,
) -> Result<(), MatrixError> {
    if users.is_empty() {
        return Ok(());
    }
    let server = OwnedServerName::try_from(origin.as_str().to_ascii_lowercase());
    let server = server.map_err(|_| MatrixError::internal())?;
    let users = BoundedVec::cut(users.into_iter().collect());
    ask_destination(edge, &server, NoteRemoteDevices { users }).await?;
    Ok(())
}

/// Tells rooms who types and has read. What does not arrive is not worth a repetition.
async fn tell_rooms<E: Transport>(
    edge: &E,
    origin: &ServerName,
    rooms: BTreeMap<OwnedRoomId, (Vec<Typist>, Vec<ReadReceipt>)>,
) {
    let tells = rooms.into_iter().take(MOST_ROOMS).map(async |(room_id, (typing, receipts))| {
        let (typing, receipts) = (BoundedVec::cut(typing), BoundedVec::cut(receipts));
        let news = ReceiveEphemeral { origin: origin.to_owned(), typing, receipts };
        ask_room(edge, &room_id, news).await.ok()
    });
    stream::iter(tells).buffer_unordered(ROOMS_AT_A_TIME).collect::<Vec<_>>().await;
}

/// What is sent to one user goes in order, one after the other.
async fn deliver<E: Transport>(
    edge: &E,
    messages: BTreeMap<OwnedUserId, Vec<DeliverToDevice>>,
) -> Result<(), MatrixError> {
    let deliveries = messages.into_iter().map(async |(user_id, messages)| {
        for message in messages {
            match ask_user(edge, &user_id, message).await {
                // Nobody is there to read it, or it is too long for anybody.
                Err(error) if error.status >= 500 || error.status == 429 => return Err(error),
                Ok(_) | Err(_) => {}
            }
        }
        Ok(())
    });
    let delivered: Vec<Result<(), MatrixError>> = stream::iter(deliveries).buffer_unordered(AT_A_TIME).collect().await;
    delivered.into_iter().collect()
}
