//! One encrypted client under remote control, for conversations with other SDKs. An order, a line of JSON with a `do`,
//! comes in, one line of JSON goes out; the verbs are those of `Peer` in `support/peers.ts`.

use anyhow::{Context, Result, bail};
use matrix_sdk::RoomState;
use matrix_sdk::ruma::{OwnedUserId, RoomId, UserId};
use matrix_sdk_ui::timeline::Timeline;
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::device::{Device, Homeserver, LIVE};
use crate::room_list::{self, Entry};
use crate::stage::Stage;
use crate::{files, timeline};

const ROOM: &str = "Babel";

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
enum Order {
    Create { invite: Vec<OwnedUserId> },
    Join { room: String },
    Members { count: u64 },
    Say { text: String },
    Hear { text: String },
    Sealed,
    Attach { name: String, bytes: usize },
    Fetch { name: String },
}

struct Peer {
    device: Device,
    timeline: Option<Timeline>,
}

pub async fn play(homeserver: &Homeserver, stage: &mut Stage) -> Result<()> {
    let (_, device) = homeserver.sign_up("rust").await?;
    device.start().await?;
    stage.tell(&json!({ "user": device.user() }));
    let mut peer = Peer { device, timeline: None };
    while let Some(line) = stage.next().await? {
        let order = serde_json::from_value(line)?;
        let answer = peer.obey(order).await;
        stage.tell(&answer.unwrap_or_else(|error| json!({ "failed": format!("{error:#}") })));
    }
    peer.device.sync.stop().await;
    Ok(())
}

impl Peer {
    async fn obey(&mut self, order: Order) -> Result<Value> {
        match order {
            Order::Create { invite } => self.create(&invite).await,
            Order::Join { room } => self.join(&RoomId::parse(room)?).await,
            Order::Members { count } => self.members(count).await,
            Order::Say { text } => Ok(json!({ "event": timeline::say(self.room()?, &text).await? })),
            Order::Hear { text } => {
                let (_, session) = timeline::hear(self.room()?, &text).await?;
                Ok(json!({ "encrypted": session.is_some() }))
            }
            Order::Sealed => Ok(json!({ "count": timeline::undecryptable(&self.room()?.items().await) })),
            Order::Attach { name, bytes } => {
                files::attach(self.room()?, &name, bytes).await?;
                Ok(json!({}))
            }
            Order::Fetch { name } => {
                let bytes = files::fetch(self.room()?, &self.device.client, &name).await?;
                Ok(json!({ "sha256": format!("{:x}", Sha256::digest(&bytes)) }))
            }
        }
    }

    fn room(&self) -> Result<&Timeline> {
        self.timeline.as_ref().context("in no room")
    }

    async fn create(&mut self, invite: &[OwnedUserId]) -> Result<Value> {
        let invited: Vec<&UserId> = invite.iter().map(AsRef::as_ref).collect();
        let room = self.device.create_room(ROOM, &invited, true).await?;
        self.timeline = Some(self.device.open(room.room_id()).await?);
        Ok(json!({ "room": room.room_id() }))
    }

    async fn join(&mut self, id: &RoomId) -> Result<Value> {
        room_list::until(&self.device, "the invite", |list| list.contains(&Entry::invited(ROOM))).await?;
        let room = self.device.client.get_room(id).context("invited to another room")?;
        if room.state() != RoomState::Invited {
            bail!("not invited, but {:?}", room.state());
        }
        room.join().await?;
        self.timeline = Some(self.device.open(id).await?);
        Ok(json!({}))
    }

    async fn members(&self, count: u64) -> Result<Value> {
        let room = self.room()?.room();
        let mut news = room.subscribe_info();
        let wait = async {
            while room.joined_members_count() != count {
                news.next().await.context("the client ended")?;
            }
            Ok(json!({}))
        };
        let end = tokio::time::timeout(LIVE, wait).await;
        end.with_context(|| format!("not within {LIVE:?}: {count} members, but {}", room.joined_members_count()))?
    }
}
