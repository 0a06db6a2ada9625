//! The life of a client without encryption: SyncService, RoomListService, Timeline.

use anyhow::{Result, ensure};
use matrix_sdk::RoomState;
use matrix_sdk::ruma::api::client::receipt::create_receipt::v3::ReceiptType;
use matrix_sdk_ui::timeline::Timeline;
use serde_json::Value;

use crate::device::{Device, Homeserver};
use crate::room_list::{self, Entry};
use crate::stage::Stage;
use crate::timeline;

const LIVE_MESSAGES: usize = 20;
/// More than any window of a sync holds.
const MISSED_MESSAGES: usize = 120;

pub async fn play(homeserver: &Homeserver, stage: &mut Stage) -> Result<()> {
    let (account, alice) = homeserver.sign_up("alice").await?;
    let (_, bob) = homeserver.sign_up("bob").await?;
    alice.start().await?;
    bob.start().await?;

    let invited = [&*alice.user()];
    bob.create_room("Cellar", &invited, false).await?;
    let loft = bob.create_room("Loft", &invited, false).await?;
    let hall = bob.create_room("Hall", &invited, false).await?;
    answer_invites(&alice).await?;
    stage.shown("invites show with the room's name in the room list, are accepted and rejected");

    let (hers, his) = (alice.open(hall.room_id()).await?, bob.open(hall.room_id()).await?);
    let mut said = chat(&hers, &his).await?;
    stage.shown("20 messages each way, live and in one order");

    let upstairs = bob.open(loft.room_id()).await?;
    timeline::say(&upstairs, "anybody here?").await?;
    let order = [Entry::joined("Loft"), Entry::joined("Hall")];
    room_list::until(&alice, "the room of the newest message first", |list| list == order).await?;
    stage.shown("the room list is sorted by recency");

    typing(&alice, &bob, &hers).await?;
    stage.shown("typing, live both ways");
    receipts(&alice, &bob, &hers, &his).await?;
    stage.shown("receipts, live both ways");

    gap(&alice, &his, &hers, &mut said).await?;
    stage.shown("120 missed messages: a gap, closed by back-pagination, no message twice");

    let second = homeserver.log_in(&account, "second").await?;
    second.start().await?;
    let order = [Entry::joined("Hall"), Entry::joined("Loft")];
    room_list::until(&second, "the rooms on a new device", |list| list == order).await?;
    let fresh = second.open(hall.room_id()).await?;
    let pages = timeline::back_to_start(&fresh, 30).await?;
    ensure!(pages > 3, "the whole history came in {pages} pages");
    timeline::shows(&fresh, "the second device", &said).await?;
    stage.shown("a new device sees the rooms and pages back to the first message");

    stage.ask("restart", Value::Null).await?;
    for text in ["after the restart", "and again"] {
        said.push(text.to_owned());
        timeline::say(&his, text).await?;
    }
    timeline::shows(&hers, "alice after the restart", &said).await?;
    timeline::say(&hers, "I heard you").await?;
    said.push("I heard you".to_owned());
    timeline::shows(&his, "bob after the restart", &said).await?;
    stage.shown("both clients go on after the server was restarted on the same state");

    drop(hers);
    let alice = homeserver.reopen(alice).await?;
    timeline::say(&his, "while you were away").await?;
    said.push("while you were away".to_owned());
    // As an app does: what is in the store shows at once, the news comes while it is on the screen.
    let hers = alice.open(hall.room_id()).await?;
    alice.start().await?;
    timeline::hear(&hers, "while you were away").await?;
    timeline::back_to_start(&hers, 50).await?;
    timeline::shows(&hers, "the reopened client", &said).await?;
    stage.shown("a client that is opened again goes on from its store");

    loft.kick_user(&alice.user(), Some("closing time")).await?;
    let left = [Entry::joined("Hall")];
    room_list::until(&alice, "the room is gone after the kick", |list| list == left).await?;
    let state = alice.client.get_room(loft.room_id()).map(|room| room.state());
    ensure!(state == Some(RoomState::Left), "kicked, but {state:?}");
    stage.shown("a kick is seen by the one concerned");

    for device in [alice, bob, second] {
        device.sync.stop().await;
    }
    Ok(())
}

async fn answer_invites(alice: &Device) -> Result<()> {
    let names = ["Cellar", "Hall", "Loft"];
    room_list::until(alice, "three invites", |list| {
        names.iter().all(|name| list.contains(&Entry::invited(name))) && list.len() == names.len()
    })
    .await?;
    for room in alice.client.invited_rooms() {
        if room.cached_display_name().is_some_and(|name| name.to_string() == "Cellar") {
            room.leave().await?;
        } else {
            room.join().await?;
        }
    }
    room_list::until(alice, "two joined rooms", |list| {
        list.contains(&Entry::joined("Hall")) && list.contains(&Entry::joined("Loft")) && list.len() == 2
    })
    .await
}

async fn chat(hers: &Timeline, his: &Timeline) -> Result<Vec<String>> {
    let mut said = Vec::new();
    for number in 1..=LIVE_MESSAGES {
        for (from, to, name) in [(hers, his, "alice"), (his, hers, "bob")] {
            let text = format!("{name} {number}");
            timeline::say(from, &text).await?;
            timeline::hear(to, &text).await?;
            said.push(text);
        }
    }
    timeline::shows(hers, "alice", &said).await?;
    timeline::shows(his, "bob", &said).await?;
    Ok(said)
}

async fn typing(alice: &Device, bob: &Device, hers: &Timeline) -> Result<()> {
    let id = hers.room().room_id();
    for (typist, watcher) in [(alice, bob), (bob, alice)] {
        let room = watcher.client.get_room(id).expect("joined");
        let (_guard, mut notices) = room.subscribe_to_typing_notifications();
        let room = typist.client.get_room(id).expect("joined");
        room.typing_notice(true).await?;
        timeline::types(&mut notices, &[typist.user()]).await?;
        room.typing_notice(false).await?;
        timeline::types(&mut notices, &[]).await?;
    }
    Ok(())
}

async fn receipts(alice: &Device, bob: &Device, hers: &Timeline, his: &Timeline) -> Result<()> {
    let (last_of_bob, last_of_alice) = (format!("bob {LIVE_MESSAGES}"), format!("alice {LIVE_MESSAGES}"));
    let (event, _) = timeline::hear(hers, &last_of_bob).await?;
    hers.send_single_receipt(ReceiptType::Read, event).await?;
    timeline::reads(his, &alice.user(), &last_of_bob).await?;
    let (event, _) = timeline::hear(his, &last_of_alice).await?;
    his.send_single_receipt(ReceiptType::Read, event).await?;
    timeline::reads(hers, &bob.user(), &last_of_bob).await
}

async fn gap(alice: &Device, his: &Timeline, hers: &Timeline, said: &mut Vec<String>) -> Result<()> {
    alice.sync.stop().await;
    for number in 1..=MISSED_MESSAGES {
        let text = format!("missed {number}");
        timeline::say(his, &text).await?;
        said.push(text);
    }
    alice.sync.start().await;
    timeline::hear(hers, &format!("missed {MISSED_MESSAGES}")).await?;
    timeline::back_to_start(hers, 25).await?;
    timeline::shows(hers, "alice after the gap", said).await
}
