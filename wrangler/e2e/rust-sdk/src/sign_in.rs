//! OAuth 2.0 as an app uses it: an account made in the browser, a second device let in by a QR code, restarts, sign-outs on
//! the account page. Where the app would open a browser, the other side is asked; it comes back to the app's own server.

use std::future::IntoFuture;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures_util::{Stream, StreamExt, pin_mut};
use matrix_sdk::authentication::oauth::ClientRegistrationData;
use matrix_sdk::authentication::oauth::qrcode::{GeneratedQrProgress, GrantLoginProgress, LoginProgress, QrCodeData};
use matrix_sdk::authentication::oauth::registration::{ApplicationType, ClientMetadata, Localized, OAuthGrantType};
use matrix_sdk::encryption::VerificationState;
use matrix_sdk::reqwest::Url;
use matrix_sdk::ruma::serde::Raw;
use matrix_sdk::utils::local_server::{LocalServerBuilder, LocalServerIpAddress};
use matrix_sdk::{Client, SessionChange};
use serde_json::json;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::oneshot;

use crate::device::{Device, Homeserver, within};
use crate::room_list::{self, Entry};
use crate::stage::{Stage, secret};
use crate::timeline;

/// Any port of the loopback interface will do, so none is named.
const REDIRECT: &str = "http://127.0.0.1/";
/// How long a token may outlive the session that was signed out.
const ENDED: Duration = Duration::from_secs(5);

pub async fn play(homeserver: &Homeserver, stage: &mut Stage) -> Result<()> {
    let first = sign_up(homeserver, stage).await?;
    let room = first.create_room("Diary", &[], true).await?;
    let diary = first.open(room.room_id()).await?;
    let said = ["written by the first device".to_owned()];
    timeline::say(&diary, &said[0]).await?;
    stage.shown("an account made in the browser, a client signed in with a code, ready to encrypt");

    let before = first.client.access_token();
    first.client.refresh_access_token().await?;
    ensure!(first.client.access_token() != before, "the refresh brought the same token");
    first.client.whoami().await?;
    stage.shown("a refreshed session");

    first.back_up().await?;
    let second = let_in(homeserver, &first, stage).await?;
    second.start().await?;
    room_list::until(&second, "the room on the new device", |list| list == [Entry::joined("Diary")]).await?;
    let copy = second.open(room.room_id()).await?;
    timeline::back_to_start(&copy, 50).await?;
    timeline::shows(&copy, "the new device", &said).await?;
    stage.shown("a second device, let in by a QR code, is verified and reads what was said before");

    drop(copy);
    let second = reopen(homeserver, second).await?;
    second.start().await?;
    second.client.refresh_access_token().await?;
    second.client.whoami().await?;
    stage.shown("its session is restored after the app was closed, and refreshed");

    sign_out(&second, stage).await?;
    stage.shown("a sign-out on the account page ends its session for good");
    second.sync.stop().await;

    drop(diary);
    stage.ask("restart", json!({})).await?;
    let first = reopen(homeserver, first).await?;
    first.start().await?;
    first.client.refresh_access_token().await?;
    first.client.whoami().await?;
    stage.shown("the first device's session outlives a restart of server and app, and is refreshed");
    sign_out(&first, stage).await?;
    stage.shown("a sign-out on the account page ends the session that began in the browser");
    first.sync.stop().await;
    Ok(())
}

/// The device is signed out on the account page; its app must learn that the session is over, and not only its token.
async fn sign_out(device: &Device, stage: &mut Stage) -> Result<()> {
    let id = device.client.device_id().context("signed in")?.to_owned();
    let token = device.client.access_token().context("signed in")?;
    secret(&token);
    let mut changes = device.client.subscribe_to_session_changes();
    stage.ask("sign-out", json!({ "device": id, "token": token })).await?;
    let signed_out = Instant::now();
    while device.client.whoami().await.is_ok() {
        ensure!(signed_out.elapsed() < ENDED, "signed out {ENDED:?} ago and still let in");
    }
    let told = async {
        loop {
            match changes.recv().await {
                Ok(SessionChange::UnknownToken(data)) => return anyhow::Ok(data.soft_logout),
                // Each request that is turned away tells it again, and only the last one is kept.
                Ok(SessionChange::TokensRefreshed) | Err(RecvError::Lagged(_)) => {}
                Err(closed) => return Err(closed.into()),
            }
        }
    };
    let soft = within("the app is told of the sign-out", told).await??;
    ensure!(!soft, "the sign-out came as a soft one");
    Ok(())
}

fn registration() -> Result<ClientRegistrationData> {
    let grants = vec![
        OAuthGrantType::AuthorizationCode { redirect_uris: vec![Url::parse(REDIRECT)?] },
        OAuthGrantType::DeviceCode,
    ];
    let home = Localized::new(Url::parse("https://app.example/")?, []);
    let mut metadata = ClientMetadata::new(ApplicationType::Native, grants, home);
    metadata.client_name = Some(Localized::new("An app".to_owned(), []));
    Ok(Raw::new(&metadata)?.into())
}

/// Makes the account in the browser and signs its first device in.
async fn sign_up(homeserver: &Homeserver, stage: &mut Stage) -> Result<Device> {
    let store = homeserver.folder.join("oauth-first");
    let client = homeserver.builder(&store).build().await?;
    let oauth = client.oauth();
    let here = LocalServerBuilder::new().ip_address(LocalServerIpAddress::Localhostv4);
    let (redirect, browser) = here.spawn().await?;
    let asked = oauth.login(redirect, None, Some(registration()?), None).build().await?;
    stage.ask("browse", json!({ "url": asked.url })).await?;
    let answer = within("the browser comes back to the app", browser.into_future()).await?;
    oauth.finish_login(answer.context("the browser brings nothing")?.into()).await?;
    secret(&client.access_token().context("signed in without a token")?);
    let device = Device::new(client, store).await?;
    device.start().await?;
    let status = device.client.encryption().cross_signing_status().await.context("no encryption")?;
    ensure!(status.is_complete(), "cross-signing after the first sign-in: {status:?}");
    Ok(device)
}

/// The new device scans the code that the old one shows, and the account is asked in the browser of the old one.
async fn let_in(homeserver: &Homeserver, old: &Device, stage: &mut Stage) -> Result<Device> {
    let store = homeserver.folder.join("oauth-second");
    let client = homeserver.builder(&store).build().await?;
    let oauth = old.client.oauth();
    let grant = oauth.grant_login_with_qr_code().generate();
    let progress = grant.subscribe_to_progress();
    let (shown, seen) = oneshot::channel();
    let (typed, check) = oneshot::channel();
    let granting = async { anyhow::Ok(grant.await?) };
    let all = async { tokio::try_join!(granting, watch(progress, shown, check, stage), scan(&client, seen, typed)) };
    within("the sign-in by a QR code", all).await??;

    let encryption = client.encryption();
    let status = encryption.cross_signing_status().await.context("no encryption")?;
    ensure!(status.is_complete(), "cross-signing of the new device: {status:?}");
    ensure!(encryption.verification_state().get() == VerificationState::Verified, "the new device is not verified");
    ensure!(encryption.backups().are_enabled().await, "the new device does not know the backup");
    secret(&client.access_token().context("signed in without a token")?);
    Device::new(client, store).await
}

/// What the user does on the old device until the login has ended: shows the code, types the digits, agrees in the browser.
async fn watch(
    progress: impl Stream<Item = GrantLoginProgress<GeneratedQrProgress>>,
    shown: oneshot::Sender<QrCodeData>,
    check: oneshot::Receiver<u8>,
    stage: &mut Stage,
) -> Result<()> {
    pin_mut!(progress);
    let (mut shown, mut check) = (Some(shown), Some(check));
    while let Some(state) = progress.next().await {
        match state {
            GrantLoginProgress::EstablishingSecureChannel(GeneratedQrProgress::QrReady(code)) => {
                let told = shown.take().context("the code is shown twice")?.send(code);
                ensure!(told.is_ok(), "nobody scans the code");
            }
            GrantLoginProgress::EstablishingSecureChannel(GeneratedQrProgress::QrScanned(entry)) => {
                entry.send(check.take().context("the digits are asked twice")?.await?).await?;
            }
            GrantLoginProgress::WaitingForAuth { verification_uri } => {
                stage.ask("approve", json!({ "url": verification_uri })).await?;
            }
            GrantLoginProgress::Starting | GrantLoginProgress::SyncingSecrets | GrantLoginProgress::Done => {}
        }
    }
    Ok(())
}

/// The new device: scans the code, shows two digits, waits until it is let in.
async fn scan(client: &Client, seen: oneshot::Receiver<QrCodeData>, typed: oneshot::Sender<u8>) -> Result<()> {
    let code = QrCodeData::from_bytes(&seen.await?.to_bytes())?;
    let (oauth, registration) = (client.oauth(), registration()?);
    let login = oauth.login_with_qr_code(Some(&registration)).scan(&code);
    let progress = login.subscribe_to_progress();
    let digits = async {
        pin_mut!(progress);
        while let Some(state) = progress.next().await {
            if let LoginProgress::EstablishingSecureChannel(channel) = state {
                let told = typed.send(channel.check_code.to_digit());
                ensure!(told.is_ok(), "nobody types the digits");
                return Ok(());
            }
        }
        bail!("the new device shows no digits")
    };
    tokio::try_join!(async { anyhow::Ok(login.await?) }, digits)?;
    Ok(())
}

/// The same device after its app was closed and opened again.
async fn reopen(homeserver: &Homeserver, device: Device) -> Result<Device> {
    let session = device.client.oauth().full_session().context("no session to restore")?;
    let store = device.store.clone();
    device.sync.stop().await;
    drop(device);
    let client = homeserver.builder(&store).build().await?;
    client.restore_session(session).await?;
    Device::new(client, store).await
}
