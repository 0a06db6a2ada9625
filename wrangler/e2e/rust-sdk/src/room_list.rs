//! What the list of rooms of an app shows.

use anyhow::{Context, Result, bail};
use futures_util::{StreamExt, pin_mut};
use matrix_sdk::RoomState;
use matrix_sdk_ui::eyeball_im::Vector;
use matrix_sdk_ui::room_list_service::RoomListItem;
use matrix_sdk_ui::room_list_service::filters::new_filter_non_left;

use crate::device::{Device, LIVE};

const PAGE: usize = 100;

/// One line of the list.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    pub name: String,
    pub state: RoomState,
}

impl Entry {
    pub fn invited(name: &str) -> Self {
        Self { name: name.to_owned(), state: RoomState::Invited }
    }

    pub fn joined(name: &str) -> Self {
        Self { name: name.to_owned(), state: RoomState::Joined }
    }
}

/// Waits until the room list, most recent first, satisfies the check.
pub async fn until(device: &Device, claim: &str, check: impl Fn(&[Entry]) -> bool) -> Result<()> {
    let list = device.sync.room_list_service().all_rooms().await?;
    let (stream, controller) = list.entries_with_dynamic_adapters(PAGE);
    controller.set_filter(Box::new(new_filter_non_left()));
    pin_mut!(stream);
    let mut items: Vector<RoomListItem> = Vector::new();
    let mut shown = Vec::new();
    let wait = async {
        loop {
            for diff in stream.next().await.context("the room list ended")? {
                diff.apply(&mut items);
            }
            shown = items.iter().map(entry).collect();
            if check(&shown) {
                return anyhow::Ok(());
            }
        }
    };
    match tokio::time::timeout(LIVE, wait).await {
        Ok(end) => end,
        Err(_) => bail!("not seen within {LIVE:?}: {claim}; the list was {shown:?}"),
    }
}

fn entry(item: &RoomListItem) -> Entry {
    let name = item.cached_display_name().map_or_else(String::new, |name| name.to_string());
    Entry { name, state: item.state() }
}
