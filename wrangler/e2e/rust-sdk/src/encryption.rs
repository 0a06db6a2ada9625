//! A conversation of two with encryption, while one of them gets further devices and loses one.

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use matrix_sdk::encryption::VerificationState;
use matrix_sdk::encryption::recovery::RecoveryState;
use matrix_sdk::ruma::RoomId;
use matrix_sdk_ui::timeline::Timeline;

use crate::device::{Device, Homeserver, LIVE, within};
use crate::room_list::{self, Entry};
use crate::stage::{Stage, secret};
use crate::{files, timeline, verification};

/// By each of the two.
const MESSAGES: usize = 200;
const PAGE: u16 = 100;
/// Messages until a logout must have got around; far from the hundred after which a session ends anyway.
const SOON: usize = 50;
const FILE_BYTES: usize = 200_000;

pub async fn play(homeserver: &Homeserver, stage: &Stage) -> Result<()> {
    let (account, alice) = homeserver.sign_up("alice").await?;
    let (_, bob) = homeserver.sign_up("bob").await?;
    alice.start().await?;
    bob.start().await?;
    let key = secure(&alice).await?;
    stage.shown("cross-signing, backup and secret storage are set up by the first device");

    let room = bob.create_room("Vault", &[&alice.user()], true).await?;
    room_list::until(&alice, "the invite", |list| list == [Entry::invited("Vault")]).await?;
    alice.client.get_room(room.room_id()).context("invited")?.join().await?;
    room_list::until(&alice, "the joined room", |list| list == [Entry::joined("Vault")]).await?;
    let (hers, his) = (alice.open(room.room_id()).await?, bob.open(room.room_id()).await?);
    let mut said = chat(&hers, &his).await?;
    stage.shown("200 messages each way, all encrypted and decrypted");

    for (from, to, device, name) in [(&hers, &his, &bob, "hers.bin"), (&his, &hers, &alice, "his.bin")] {
        files::attach(from, name, FILE_BYTES).await?;
        let bytes = files::fetch(to, &device.client, name).await?;
        ensure!(bytes == files::pattern(FILE_BYTES), "{name} came as other bytes than were sent");
        said.push(name.to_owned());
    }
    stage.shown("a file each way, encrypted, uploaded, downloaded and decrypted");

    alice.back_up().await?;
    let second = homeserver.log_in(&account, "second").await?;
    second.start().await?;
    verification::by_pictures(&alice, &second).await?;
    trusted(&second).await?;
    let hers_too = history(&second, room.room_id(), &said).await?;
    stage.shown(
        "a new device, verified by pictures, gets the secrets from the old one and reads all that was said before",
    );

    alice.back_up().await?;
    let third = homeserver.log_in(&account, "third").await?;
    third.start().await?;
    within("the recovery", third.client.encryption().recovery().recover(&key)).await??;
    trusted(&third).await?;
    let hers_again = history(&third, room.room_id(), &said).await?;
    stage.shown("a third device, with the recovery key alone, reads all from the backup");

    let session = everybody_hears(&his, "to all three", &[&hers, &hers_too, &hers_again], &mut said).await?;
    drop(hers_too);
    second.sync.stop().await;
    second.client.logout().await?;
    rotation(&his, &[&hers, &hers_again], &session, &mut said).await?;
    stage.shown("after the logout of a device the others go on in a new session");

    for (timeline, who) in [(&hers, "alice"), (&hers_again, "her third device"), (&his, "bob")] {
        timeline::shows(timeline, who, &said).await?;
    }
    stage.shown("no device has a message that it could not decrypt");
    for device in [alice, bob, third] {
        device.sync.stop().await;
    }
    Ok(())
}

/// One account after the other gets a second device, verified by pictures: what the first verification of a longer
/// conversation does only once.
pub async fn play_verifications(homeserver: &Homeserver, stage: &mut Stage) -> Result<()> {
    loop {
        let (account, first) = homeserver.sign_up("alice").await?;
        first.start().await?;
        secure(&first).await?;
        let second = homeserver.log_in(&account, "second").await?;
        second.start().await?;
        verification::by_pictures(&first, &second).await?;
        trusted(&second).await?;
        stage.shown("a new device, verified by pictures, gets the secrets from the old one");
        for device in [first, second] {
            device.sync.stop().await;
        }
        if stage.ask("another", serde_json::json!({})).await?["another"] != true {
            return Ok(());
        }
    }
}

/// The SDK has made cross-signing keys and a backup at the login; adds secret storage. Returns the recovery key.
async fn secure(device: &Device) -> Result<String> {
    let encryption = device.client.encryption();
    let status = encryption.cross_signing_status().await.context("no encryption")?;
    ensure!(status.is_complete(), "cross-signing after the first login: {status:?}");
    let recovery = encryption.recovery();
    let key = within("secret storage", recovery.enable().wait_for_backups_to_upload().into_future()).await??;
    secret(&key);
    ensure!(encryption.backups().fetch_exists_on_server().await?, "the server has no backup");
    Ok(key)
}

/// Both speak at the same time, and each reads the other.
async fn chat(hers: &Timeline, his: &Timeline) -> Result<Vec<String>> {
    let heard = async |from: &Timeline, to: &Timeline, text: &str| {
        timeline::say(from, text).await?;
        let (_, session) = timeline::hear(to, text).await?;
        session.with_context(|| format!("{text:?} came in the clear"))
    };
    for number in 1..=MESSAGES {
        let (alice, bob) = (format!("alice {number}"), format!("bob {number}"));
        tokio::try_join!(heard(hers, his, &alice), heard(his, hers, &bob))?;
    }
    // The SDK shows what it has sent before the server tells it back, and perhaps in another place. By the time Bob hears of
    // something later, he has been told all of it.
    heard(hers, his, "that is all").await?;
    let said = timeline::order(his).await;
    ensure!(said.len() == 2 * MESSAGES + 1, "bob has {} messages of {}", said.len(), 2 * MESSAGES + 1);
    timeline::shows(hers, "alice", &said).await?;
    Ok(said)
}

/// Waits until the device is verified and has every secret of the account.
async fn trusted(device: &Device) -> Result<()> {
    let encryption = device.client.encryption();
    let wait = async {
        let mut trust = encryption.verification_state();
        while trust.next().await.context("the client ended")? != VerificationState::Verified {}
        let mut recovery = encryption.recovery().state_stream();
        while recovery.next().await.context("the client ended")? != RecoveryState::Enabled {}
        anyhow::Ok(())
    };
    tokio::time::timeout(LIVE, wait).await.with_context(|| {
        let (trust, recovery) = (encryption.verification_state().get(), encryption.recovery().state());
        format!("not within {LIVE:?}: a device with all secrets; it is {trust:?}, recovery is {recovery:?}")
    })?
}

/// Opens the room on a device that was not there and reads all of it.
async fn history(device: &Device, room: &RoomId, said: &[String]) -> Result<Timeline> {
    room_list::until(device, "the room on a new device", |list| list == [Entry::joined("Vault")]).await?;
    let timeline = device.open(room).await?;
    timeline::back_to_start(&timeline, PAGE).await?;
    timeline::shows(&timeline, "a new device", said).await?;
    Ok(timeline)
}

/// Says something that all listeners must read in one session. Returns its id.
async fn everybody_hears(
    from: &Timeline,
    text: &str,
    listeners: &[&Timeline],
    said: &mut Vec<String>,
) -> Result<String> {
    timeline::say(from, text).await?;
    said.push(text.to_owned());
    let mut sessions = Vec::new();
    for listener in listeners {
        sessions.push(timeline::hear(listener, text).await?.1.with_context(|| format!("{text:?} came in the clear"))?);
    }
    sessions.dedup();
    match sessions.as_slice() {
        [session] => Ok(session.clone()),
        _ => bail!("{text:?} came in the sessions {sessions:?}"),
    }
}

/// Talks until the session is another one, as it must be soon after a device is gone.
async fn rotation(from: &Timeline, listeners: &[&Timeline], old: &str, said: &mut Vec<String>) -> Result<()> {
    for number in 1..=SOON {
        let text = format!("one device less, {number}");
        if everybody_hears(from, &text, listeners, said).await? != old {
            return Ok(());
        }
    }
    bail!("{SOON} messages after the logout still the same session")
}
