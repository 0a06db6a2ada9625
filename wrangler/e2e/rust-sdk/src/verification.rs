//! A new device of an account is verified by one that is trusted: both show the same seven pictures.

use anyhow::{Context, Result, bail, ensure};
use futures_util::{Stream, StreamExt, pin_mut};
use matrix_sdk::Client;
use matrix_sdk::encryption::verification::{
    SasState, SasVerification, Verification, VerificationRequest, VerificationRequestState,
};
use matrix_sdk::ruma::events::key::verification::VerificationMethod;
use matrix_sdk::ruma::events::key::verification::request::ToDeviceKeyVerificationRequestEvent;
use matrix_sdk::ruma::{OwnedTransactionId, OwnedUserId};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use crate::device::{Device, within};

/// Both devices are of one account and sync.
pub async fn by_pictures(trusted: &Device, fresh: &Device) -> Result<()> {
    let mut arriving = requests(&trusted.client);
    let user = fresh.user();
    let identity = fresh.client.encryption().request_user_identity(&user).await?;
    let identity = identity.context("the account has no cross-signing identity")?;
    let asking = identity.request_verification_with_methods(vec![VerificationMethod::SasV1]).await?;

    let (sender, flow) = within("the verification request", arriving.recv()).await?.context("no more requests")?;
    let asked = trusted.client.encryption().get_verification_request(&sender, &flow).await;
    let asked = asked.context("the request is unknown to the device that was asked")?;
    asked.accept_with_methods(vec![VerificationMethod::SasV1]).await?;

    ready(&asking).await?;
    let starting = asking.start_sas().await?.context("the request is ready, but nothing starts")?;
    let answering = started(&asked).await?;
    answering.accept().await?;

    let (hers, theirs) = (pictures(&starting).await?, pictures(&answering).await?);
    ensure!(hers == theirs, "one device shows {hers:?}, the other {theirs:?}");
    // The one that is trusted goes first. Whoever confirms last says `mac` and `done` in one breath; were that the trusted
    // device, the new one might answer `done` and ask for the secrets at the same moment, on several connections, and a
    // request that overtakes `done` is dropped for good: the SDK serves nobody whom it does not trust yet.
    answering.confirm().await?;
    starting.confirm().await?;
    done(&starting).await?;
    done(&answering).await
}

/// The verification requests that reach a device.
fn requests(client: &Client) -> UnboundedReceiver<(OwnedUserId, OwnedTransactionId)> {
    let (found, arriving) = unbounded_channel();
    client.add_event_handler(async move |event: ToDeviceKeyVerificationRequestEvent| {
        // Nobody listens any more once the verification is over.
        let _ = found.send((event.sender, event.content.transaction_id));
    });
    arriving
}

async fn ready(request: &VerificationRequest) -> Result<()> {
    let find = |state| match state {
        VerificationRequestState::Ready { .. } => Ok(Some(())),
        VerificationRequestState::Cancelled(reason) => bail!("the request was cancelled: {reason:?}"),
        _ => Ok(None),
    };
    reaches("the request is accepted", request.changes(), || request.state(), find).await
}

async fn started(request: &VerificationRequest) -> Result<SasVerification> {
    let find = |state| match state {
        VerificationRequestState::Transitioned { verification: Verification::SasV1(sas) } => Ok(Some(sas)),
        VerificationRequestState::Cancelled(reason) => bail!("the request was cancelled: {reason:?}"),
        _ => Ok(None),
    };
    reaches("the verification starts", request.changes(), || request.state(), find).await
}

async fn pictures(sas: &SasVerification) -> Result<Vec<&'static str>> {
    let find = |state| match state {
        SasState::KeysExchanged { emojis: Some(emojis), .. } => {
            Ok(Some(emojis.emojis.iter().map(|emoji| emoji.symbol).collect()))
        }
        SasState::Cancelled(reason) => bail!("the verification was cancelled: {reason:?}"),
        _ => Ok(None),
    };
    reaches("the pictures", sas.changes(), || sas.state(), find).await
}

async fn done(sas: &SasVerification) -> Result<()> {
    let find = |state| match state {
        SasState::Done { .. } => Ok(Some(())),
        SasState::Cancelled(reason) => bail!("the verification was cancelled: {reason:?}"),
        _ => Ok(None),
    };
    reaches("the end of the verification", sas.changes(), || sas.state(), find).await
}

/// Waits for a state. The stream tells only what comes after it was made, so the present is looked at second.
async fn reaches<S, T>(
    claim: &str,
    changes: impl Stream<Item = S>,
    now: impl Fn() -> S,
    find: impl Fn(S) -> Result<Option<T>>,
) -> Result<T> {
    pin_mut!(changes);
    let wait = async {
        let mut state = now();
        loop {
            if let Some(found) = find(state)? {
                return Ok(found);
            }
            state = changes.next().await.context("no further changes")?;
        }
    };
    within(claim, wait).await?
}
