//! What the timeline of a room shows.

use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::ruma::events::room::message::RoomMessageEventContent;
use matrix_sdk::ruma::{OwnedEventId, OwnedUserId, UserId};
use matrix_sdk_ui::eyeball_im::Vector;
use matrix_sdk_ui::timeline::{EventTimelineItem, Timeline, TimelineItem};

use crate::device::LIVE;

pub type Items = Vector<Arc<TimelineItem>>;

/// Waits until the timeline has what is looked for, looking again at each change of it.
pub async fn until<T>(timeline: &Timeline, claim: &str, find: impl Fn(&Items) -> Option<T>) -> Result<T> {
    let (mut items, stream) = timeline.subscribe().await;
    pin_mut!(stream);
    let wait = async {
        loop {
            if let Some(found) = find(&items) {
                return anyhow::Ok(found);
            }
            for diff in stream.next().await.context("the timeline ended")? {
                diff.apply(&mut items);
            }
        }
    };
    match tokio::time::timeout(LIVE, wait).await {
        Ok(end) => end,
        Err(_) => {
            let (seen, sealed) = (bodies(&items).len(), undecryptable(&items));
            bail!("not seen within {LIVE:?}: {claim}; {seen} messages, {sealed} undecryptable: {:?}", tail(&items))
        }
    }
}

/// The events that came from the server.
fn remote(items: &Items) -> impl Iterator<Item = &EventTimelineItem> {
    items.iter().filter_map(|item| item.as_event()).filter(|event| !event.is_local_echo())
}

fn body(event: &EventTimelineItem) -> Option<&str> {
    event.content().as_message().map(|message| message.body())
}

pub fn bodies(items: &Items) -> Vec<String> {
    remote(items).filter_map(body).map(ToOwned::to_owned).collect()
}

fn tail(items: &Items) -> Vec<String> {
    let all = bodies(items);
    all[all.len().saturating_sub(5)..].to_vec()
}

pub fn undecryptable(items: &Items) -> usize {
    remote(items).filter(|event| event.content().is_unable_to_decrypt()).count()
}

pub fn find<'a>(items: &'a Items, text: &str) -> Option<&'a EventTimelineItem> {
    remote(items).find(|event| body(event) == Some(text))
}

/// Says something and returns its event once the server has told it back.
pub async fn say(timeline: &Timeline, text: &str) -> Result<OwnedEventId> {
    timeline.send(RoomMessageEventContent::text_plain(text).into()).await?;
    until(timeline, &format!("the echo of {text:?}"), |items| find(items, text)?.event_id().map(ToOwned::to_owned))
        .await
}

/// Waits for a text of somebody else. Returns its event and, in an encrypted room, the id of the session it came in.
pub async fn hear(timeline: &Timeline, text: &str) -> Result<(OwnedEventId, Option<String>)> {
    until(timeline, &format!("{text:?}"), |items| {
        let event = find(items, text)?;
        let session = event.encryption_info().and_then(|info| info.session_id()).map(ToOwned::to_owned);
        Some((event.event_id()?.to_owned(), session))
    })
    .await
}

/// Waits until exactly these texts are there, in this order, each once, and nothing that could not be decrypted.
pub async fn shows(timeline: &Timeline, who: &str, expected: &[String]) -> Result<()> {
    let claim = format!("{} messages in their order, for {who}", expected.len());
    until(timeline, &claim, |items| (bodies(items) == expected && undecryptable(items) == 0).then_some(())).await
}

/// The texts that are there now, in their order.
pub async fn order(timeline: &Timeline) -> Vec<String> {
    bodies(&timeline.items().await)
}

/// Loads older pages until the start of the room. Returns how many it took.
pub async fn back_to_start(timeline: &Timeline, page: u16) -> Result<usize> {
    for pages in 1..200 {
        if timeline.paginate_backwards(page).await? {
            return Ok(pages);
        }
    }
    bail!("200 pages did not reach the start of the room")
}

pub async fn reads(timeline: &Timeline, reader: &UserId, text: &str) -> Result<()> {
    until(timeline, &format!("the receipt of {reader} at {text:?}"), |items| {
        find(items, text)?.read_receipts().contains_key(reader).then_some(())
    })
    .await
}

/// Waits for a notice of who is typing, which another task collects.
pub async fn types(
    notices: &mut tokio::sync::broadcast::Receiver<Vec<OwnedUserId>>,
    typists: &[OwnedUserId],
) -> Result<()> {
    let wait = async {
        while notices.recv().await? != typists {}
        anyhow::Ok(())
    };
    let end = tokio::time::timeout(LIVE, wait).await;
    ensure!(end.is_ok(), "not seen within {LIVE:?}: typing of {typists:?}");
    end?
}
