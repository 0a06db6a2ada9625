//! The token endpoint: what was granted becomes tokens.

use ruma::{OwnedUserId, UserId};
use serde::Serialize;
use tern_auth::{
    oauth::{
        OAuthError,
        client::DEVICE_CODE,
        id_token::Subject,
        request::only,
        scope::Scope,
        ticket::{Ticket, hash},
    },
    refresh,
    token::{LIFETIME, Minted, mint_granted},
};
use tern_model::{Caller, Config, MatrixError};
use tern_ports::{
    Clock, Crypto, Transport, ask_device_sign_in, ask_storage, ask_user,
    wire::{
        device_sign_in::PollDeviceGrant,
        grant::{Grant, Granted, IssueGrant, RedeemGrant, RefreshGrant},
        storage::UseClient,
    },
};

use crate::{
    oauth::{
        clients::client,
        device_grant::{device_name, user_code_of},
    },
    signing::{Keyrings, id_token},
};

/// The answer of the token endpoint (RFC 6749, 5.1).
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TokenAnswer {
    /// The access token.
    pub access_token: String,
    /// Always `Bearer`.
    pub token_type: &'static str,
    /// Seconds.
    pub expires_in: u64,
    /// The refresh token; none for a client that only learns who the user is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<String>,
    /// Who signed in, for a client that asked with the scope `openid`; none after a refresh.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id_token: Option<String>,
    /// The scope that was granted.
    pub scope: String,
}

/// The user says yes: an authorization code. One hop and one storage call.
///
/// # Errors
/// When the browser is not signed in any more.
pub async fn grant<E: Transport>(
    edge: &E,
    user_id: &UserId,
    cookie: &str,
    grant: Grant,
) -> Result<String, MatrixError> {
    ask_storage(edge, UseClient { client_id: grant.client_id.clone() }).await?;
    ask_user(edge, user_id, IssueGrant { cookie: cookie.to_owned(), grant }).await
}

/// `POST /oauth2/token`. One hop, two for a device; one or two storage calls for an id token.
///
/// # Errors
/// As RFC 6749, 5.2 and RFC 8628, 3.5 say.
pub async fn token<E: Transport + Clock + Crypto>(
    edge: &E,
    config: &Config,
    keyrings: &Keyrings,
    params: &[(String, String)],
    ip: Option<String>,
) -> Result<TokenAnswer, MatrixError> {
    let need = |name: &'static str| only(params, name)?.ok_or(OAuthError::InvalidRequest("A parameter is missing"));
    let client_id = need("client_id")?.to_owned();
    let (user_id, granted) = match need("grant_type")? {
        "authorization_code" => {
            let (redirect_uri, verifier) =
                (Some(need("redirect_uri")?.to_owned()), Some(need("code_verifier")?.to_owned()));
            let code = need("code")?.to_owned();
            redeem(edge, config, RedeemGrant { code, client_id, redirect_uri, verifier, ip }).await?
        }
        "refresh_token" => {
            let refresh_token = need("refresh_token")?.to_owned();
            let user_id = refresh::read(config, &refresh_token).ok_or(OAuthError::InvalidGrant)?.user_id;
            let granted = ask_user(edge, &user_id, RefreshGrant { refresh_token, client_id }).await?;
            (user_id, granted)
        }
        DEVICE_CODE => {
            let device_code = need("device_code")?.to_owned();
            let name = device_name(user_code_of(&device_code).ok_or(OAuthError::InvalidGrant)?);
            let poll = PollDeviceGrant { device_code, client_id: client_id.clone() };
            let code = ask_device_sign_in(edge, &name, poll).await?;
            redeem(edge, config, RedeemGrant { code, client_id, redirect_uri: None, verifier: None, ip }).await?
        }
        _ => return Err(OAuthError::UnsupportedGrantType.into()),
    };
    let nonce = granted.nonce.clone();
    let (client_id, auth_time) = (granted.client_id.clone(), granted.auth_time);
    let mut answer = answer(edge, config, &user_id, granted)?;
    // A refresh does not know when the user gave the password, and gets none (OpenID Connect Core, 12.2).
    if auth_time.is_some() && Scope::parse(&answer.scope)?.openid {
        let algorithm = client(edge, &client_id).await?.signed();
        let (nonce, access_token) = (nonce.as_deref(), answer.access_token.as_str());
        let subject = Subject { user_id: user_id.as_str(), client_id: &client_id, auth_time, nonce, access_token };
        answer.id_token = Some(id_token(edge, config, keyrings, algorithm, subject).await?);
    }
    Ok(answer)
}

async fn redeem<E: Transport>(
    edge: &E,
    config: &Config,
    command: RedeemGrant,
) -> Result<(OwnedUserId, Granted), MatrixError> {
    let user_id = Ticket::Code.user_of(&command.code, &config.server_name).ok_or(OAuthError::InvalidGrant)?;
    let granted = ask_user(edge, &user_id, command).await?;
    Ok((user_id, granted))
}

fn answer(clock: &impl Clock, config: &Config, user_id: &UserId, granted: Granted) -> Result<TokenAnswer, MatrixError> {
    let Granted { session, scope, issued, .. } = granted;
    let rights = Scope::parse(&scope)?.rights();
    // Follows from what the client gets anyway, so that a repeated refresh gets the same access token too.
    let seed = hash(session.refresh_token.as_deref().unwrap_or(&session.session_id));
    let nonce = [0, 1, 2, 3, 4, 5].map(|at: usize| seed.get(at).copied().unwrap_or_default());
    let caller = Caller { user_id: user_id.to_owned(), device_id: session.device_id };
    let Minted { access_token, .. } = mint_granted(config, &caller, &session.session_id, rights, issued, nonce)
        .map_err(|_| MatrixError::internal())?;
    // A repeated refresh gets what was given out a moment ago.
    let expires_in = LIFETIME.saturating_sub(clock.now().since(issued)) / 1000;
    let refresh_token = session.refresh_token;
    Ok(TokenAnswer { access_token, token_type: "Bearer", expires_in, refresh_token, id_token: None, scope })
}
