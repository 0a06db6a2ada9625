//! To-device messages to users of the server: durable before whoever sends them has an answer, sent in order, once. What does
//! not fit is refused, and nothing that was taken is dropped.

use std::{collections::BTreeMap, mem, rc::Rc};

use ruma::UserId;
use serde::Serialize;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ObjectHost, Sql, SqlError,
    wire::{Done, destination::SendToDevice},
};

use super::{DestinationActor, message_store::Load, schema::SCHEMA, store::Span};

/// What waits for a server at most, of one sender and in all.
const OF_ONE: Load = Load { messages: 2_000, bytes: 8 << 20 };
const OF_ALL: Load = Load { messages: 10_000, bytes: 64 << 20 };
/// When somebody who was refused is to try again, in milliseconds.
const RETRY_AFTER: u64 = 60_000;
/// A message to many devices goes in several of about this length, in bytes: other servers take no longer ones.
const ORDINARY: usize = 48 * 1024;
/// Longest content for one device, in bytes: as devices here are sent.
const LONGEST: usize = 128 * 1024;
/// Bytes of messages in one transaction, except for a single one.
const MOST_BYTES: usize = 256 * 1024;

/// Contents by user and device.
type Messages = BTreeMap<String, BTreeMap<String, RawJson>>;

#[derive(Serialize)]
struct Edu<'a> {
    content: Content<'a>,
    edu_type: &'a str,
}

#[derive(Serialize)]
struct Content<'a> {
    message_id: &'a str,
    messages: &'a Messages,
    sender: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
}

impl<H: ObjectHost> DestinationActor<H> {
    /// Takes messages over, and begins to send them.
    pub(super) async fn send_to_device(self: &Rc<Self>, ask: SendToDevice) -> Result<Done, MatrixError> {
        let messages: Messages = ask.messages.read().map_err(|_| MatrixError::bad_json("These are no messages"))?;
        if messages.values().flat_map(BTreeMap::values).any(|content| content.text().len() > LONGEST) {
            return Err(MatrixError::too_large("The message is too long"));
        }
        // Nobody is there to read it.
        if !self.config.federation.meets(self.name.as_str()) {
            return Ok(Done {});
        }
        if self.queue_row()?.is_none() {
            // Whoever makes up names of servers leaves nothing here.
            if SCHEMA.taken(self.host.sql())? == 0 {
                self.fetch_keys().await?;
            }
            self.open_queue()?;
        }
        let edus = split(messages).into_iter().enumerate().map(|(number, messages)| {
            let message_id = format!("{}-{number}", ask.message_id);
            let content =
                Content { message_id: &message_id, messages: &messages, sender: ask.sender.as_str(), kind: &ask.kind };
            let edu = RawJson::from_value(&Edu { content, edu_type: "m.direct_to_device" });
            edu.map(|edu| (message_id, edu)).map_err(|_| MatrixError::internal())
        });
        let edus = edus.collect::<Result<Vec<_>, _>>()?;
        self.admit_messages(&ask.sender, &edus)?;
        self.host.sql().transaction(|| {
            edus.iter().try_for_each(|(message_id, edu)| self.store().queue_message(&ask.sender, message_id, edu))
        })?;
        self.look_after().await?;
        Ok(Done {})
    }

    fn admit_messages(&self, sender: &UserId, edus: &[(String, RawJson)]) -> Result<(), MatrixError> {
        let bytes: usize = edus.iter().map(|(_, edu)| edu.text().len()).sum();
        let (of_sender, of_all) = self.store().loads(Some(sender))?;
        let fits = |load: Load, most: Load| {
            load.messages + edus.len() as u64 <= most.messages && load.bytes + bytes as u64 <= most.bytes
        };
        if fits(of_sender, OF_ONE) && fits(of_all, OF_ALL) {
            Ok(())
        } else {
            Err(MatrixError::limit_exceeded(RETRY_AFTER))
        }
    }

    /// The messages of the next transaction: the oldest, as many as go into one.
    pub(super) fn next_messages(&self, most: u32) -> Result<(Option<Span>, Vec<RawJson>), SqlError> {
        let (mut span, mut edus, mut bytes) = (None::<Span>, Vec::new(), 0);
        for (id, edu) in self.store().messages(most)? {
            bytes += edu.text().len();
            if bytes > MOST_BYTES && !edus.is_empty() {
                break;
            }
            span = Some(Span { from: span.map_or(id, |span| span.from), through: id });
            edus.push(edu);
        }
        Ok((span, edus))
    }

    /// Those of a transaction that was made before.
    pub(super) fn messages_of(&self, span: Option<Span>) -> Result<Vec<RawJson>, SqlError> {
        let messages = span.map(|span| self.store().messages_in(span)).transpose()?.unwrap_or_default();
        Ok(messages.into_iter().map(|(_, edu)| edu).collect())
    }
}

/// Parts of an ordinary length, the same ones for the same messages.
fn split(messages: Messages) -> Vec<Messages> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Messages::new(), 0);
    for (user_id, devices) in messages {
        for (device_id, content) in devices {
            let length = content.text().len() + device_id.len() + user_id.len();
            if bytes > 0 && bytes + length > ORDINARY {
                parts.push(mem::take(&mut part));
                bytes = 0;
            }
            bytes += length;
            part.entry(user_id.clone()).or_default().insert(device_id, content);
        }
    }
    if !part.is_empty() {
        parts.push(part);
    }
    parts
}
