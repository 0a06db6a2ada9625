//! Going through user-interactive authentication, run in the proxy.
//!
//! A flow of one stage is passed in one request, and nothing is stored. For longer ones the stages that were completed
//! are entries in the session's one-time store; whoever completes the last stage takes them away, so a session
//! authorises one operation once.

use ruma::{OwnedUserId, UserId};
use tern_auth::{
    login::Credentials,
    mail::Occasion,
    secret,
    uia::{self, Auth, Challenge, Flow, Purpose, Stage},
};
use tern_model::{Class, Config, MatrixError, RawJson};
use tern_ports::{
    Clock, Entropy, Transport, ask_one_time_store, ask_storage,
    wire::{
        accounts::CheckRegistrationToken,
        one_time_store::{Entries, Proof, ReadEntries, StoreEntry, TakeEntries},
    },
};

use crate::{
    credentials::{check_password, named},
    limit::{self, Guess},
    random::random,
    threepid,
};

/// Something that takes authentication.
#[derive(Clone, Copy, Debug)]
pub struct UiaOperation<'a> {
    /// Which operation, and for whom.
    pub purpose: Purpose<'a>,
    /// What is asked, one of these being enough.
    pub flows: &'a [Flow],
    /// Where the request came from.
    pub ip: Option<&'a str>,
}

/// What was learned on the way: by stage, what it was passed with.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompletedStages(Entries);

impl CompletedStages {
    /// The registration token that was given.
    pub fn registration_token(&self) -> Option<String> {
        self.0.get(Stage::RegistrationToken.name()).and_then(|entry| entry.read().ok())
    }

    /// The mail address that was proven.
    pub fn proof(&self) -> Option<Proof> {
        self.0.get(Stage::Email.name()).and_then(|entry| entry.read().ok())
    }

    /// Only who the session was opened for may have signed in for it.
    fn keep_own(&mut self, user_id: Option<&UserId>) {
        let signed_in: Option<OwnedUserId> = self.0.get(Stage::Sso.name()).and_then(|entry| entry.read().ok());
        if signed_in.as_deref() != user_id {
            self.0.remove(Stage::Sso.name());
        }
    }

    fn stages(&self, challenge: &Challenge<'_>) -> Vec<Stage> {
        self.0.keys().filter_map(|name| challenge.offers(name)).collect()
    }
}

/// Lets through whoever has completed a flow.
///
/// # Errors
/// The challenge, with `M_FORBIDDEN` in it when a stage was not passed.
pub async fn authorise<E: Transport + Clock + Entropy>(
    edge: &E,
    config: &Config,
    operation: UiaOperation<'_>,
    auth: Option<&Auth>,
) -> Result<CompletedStages, MatrixError> {
    let given = auth.and_then(|auth| auth.session.as_deref());
    let known = given.filter(|session| uia::is_open(config, &operation.purpose, session, edge.now()));
    let session =
        known.map_or_else(|| uia::open_session(config, &operation.purpose, edge.now(), random(edge)), str::to_owned);
    let challenge = Challenge { flows: operation.flows, session: &session };
    let mut progress = CompletedStages::default();
    // Without a stage, the client comes back from the fallback page of one.
    if known.is_some() && (challenge.takes_turns() || auth.is_some_and(|auth| auth.kind.is_none())) {
        progress.0 = ask_one_time_store(edge, &store_name(&session), ReadEntries {}).await?;
        progress.keep_own(operation.purpose.user_id);
    }
    let Some((auth, kind)) = auth.and_then(|auth| Some((auth, auth.kind.as_deref()?))) else {
        return finish(edge, config, &challenge, progress, None).await;
    };
    let refuse =
        |progress: &CompletedStages, message| challenge.ask(config, &progress.stages(&challenge), Some(message));
    if given.is_some() != known.is_some() {
        return Err(refuse(&progress, "This session is over, or was for something else"));
    }
    let Some(stage) = challenge.offers(kind) else { return Err(refuse(&progress, "This stage is not offered")) };
    match attempt(edge, config, &operation, stage, auth).await? {
        Ok(entry) => finish(edge, config, &challenge, progress, Some((stage, entry))).await,
        Err(message) => Err(refuse(&progress, message)),
    }
}

/// Adds what was just completed; passes, or remembers it and asks for the rest.
async fn finish<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    challenge: &Challenge<'_>,
    mut progress: CompletedStages,
    fresh: Option<(Stage, RawJson)>,
) -> Result<CompletedStages, MatrixError> {
    let stored = progress.stages(challenge);
    if let Some((stage, entry)) = &fresh {
        progress.0.insert(stage.name().to_owned(), entry.clone());
    }
    let completed = progress.stages(challenge);
    if challenge.is_met(&completed) {
        // Of several requests that complete a session, one passes.
        let taken = if stored.is_empty() {
            Entries::new()
        } else {
            ask_one_time_store(edge, &store_name(challenge.session), TakeEntries {}).await?
        };
        return if stored.iter().all(|stage| taken.contains_key(stage.name())) {
            Ok(progress)
        } else {
            Err(challenge.ask(config, &[], Some("This session was used already")))
        };
    }
    if let Some((stage, value)) = fresh {
        let until = edge.now().plus(uia::LIFETIME);
        ask_one_time_store(
            edge,
            &store_name(challenge.session),
            StoreEntry { name: stage.name().to_owned(), value, until },
        )
        .await?;
    }
    Err(challenge.ask(config, &completed, None))
}

/// Tries a stage: what to remember of it, or why it is not passed.
async fn attempt<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    operation: &UiaOperation<'_>,
    stage: Stage,
    auth: &Auth,
) -> Result<Result<RawJson, &'static str>, MatrixError> {
    match stage {
        Stage::Dummy | Stage::Terms => Ok(Ok(RawJson::empty_object())),
        Stage::RegistrationToken => {
            let token = auth.token.as_deref().unwrap_or_default();
            limit::by_address(edge, config, Class::Login, operation.ip).await?;
            if !is_registration_token(edge, config, token).await? {
                return Ok(Err("Invalid registration token"));
            }
            Ok(Ok(RawJson::from_value(&token).map_err(|_| MatrixError::internal())?))
        }
        Stage::Password => {
            let Some(user_id) = operation.purpose.user_id else { return Ok(Err("Nobody is signed in")) };
            own_password(edge, config, user_id, &auth.credentials).await
        }
        Stage::Email => proven_mail(edge, config, operation, auth).await,
        Stage::Sso => Ok(Err("Sign in on the page of this stage")),
    }
}

/// What somebody did on the page of a stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FallbackProof {
    /// Agreed to the terms.
    Agreed,
    /// Typed a registration token.
    Token(String),
    /// Was signed in, and said yes.
    SignedIn(OwnedUserId),
}

/// Refuses a session that is not open.
///
/// # Errors
/// `M_UNKNOWN`.
pub fn check_session<E: Clock>(edge: &E, config: &Config, session: &str) -> Result<(), MatrixError> {
    if uia::is_any_open(config, session, edge.now()) {
        return Ok(());
    }
    Err(MatrixError::new(400, "M_UNKNOWN", "There is no such session"))
}

/// Remembers a stage that was completed on its page. What it is good for is looked at when the client comes back.
///
/// # Errors
/// `M_UNAUTHORIZED` for a wrong registration token, `M_UNKNOWN` for a session that is over.
pub async fn complete_fallback<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    session: &str,
    proof: FallbackProof,
    ip: Option<&str>,
) -> Result<(), MatrixError> {
    check_session(edge, config, session)?;
    let (stage, value) = match proof {
        FallbackProof::Agreed => (Stage::Terms, Ok(RawJson::empty_object())),
        FallbackProof::SignedIn(user_id) => (Stage::Sso, RawJson::from_value(&user_id)),
        FallbackProof::Token(token) => {
            limit::by_address(edge, config, Class::Login, ip).await?;
            if !is_registration_token(edge, config, &token).await? {
                return Err(MatrixError::new(403, "M_UNAUTHORIZED", "Invalid registration token"));
            }
            (Stage::RegistrationToken, RawJson::from_value(&token))
        }
    };
    let (value, until) = (value.map_err(|_| MatrixError::internal())?, edge.now().plus(uia::LIFETIME));
    ask_one_time_store(edge, &store_name(session), StoreEntry { name: stage.name().to_owned(), value, until }).await?;
    Ok(())
}

/// An address that was proven for the operation.
async fn proven_mail<E: Transport>(
    edge: &E,
    config: &Config,
    operation: &UiaOperation<'_>,
    auth: &Auth,
) -> Result<Result<RawJson, &'static str>, MatrixError> {
    let Some(creds) = &auth.threepid_creds else { return Ok(Err("threepid_creds is missing")) };
    let occasion = if operation.purpose.operation == "register" { Occasion::Register } else { Occasion::Password };
    match threepid::spend(edge, config, occasion, creds).await {
        Ok(proof) => Ok(Ok(RawJson::from_value(&proof).map_err(|_| MatrixError::internal())?)),
        Err(error) if error.status == 403 => Ok(Err("The mail address was not confirmed")),
        Err(error) => Err(error),
    }
}

/// Only the own password counts.
async fn own_password(
    edge: &impl Transport,
    config: &Config,
    user_id: &UserId,
    credentials: &Credentials,
) -> Result<Result<RawJson, &'static str>, MatrixError> {
    let named = named(edge, config, credentials).await?;
    let Some(named) = named.filter(|named: &OwnedUserId| named == user_id) else {
        return Ok(Err("This is not your account"));
    };
    match check_password(edge, config, Some(named), credentials.password()?, Guess::Proof).await {
        Ok(_) => Ok(Ok(RawJson::empty_object())),
        Err(error) if error.status == 403 => Ok(Err("Invalid password")),
        Err(error) => Err(error),
    }
}

/// Whether somebody may register with this token now.
///
/// # Errors
/// 503.
pub async fn is_registration_token<E: Transport + Clock>(
    edge: &E,
    config: &Config,
    token: &str,
) -> Result<bool, MatrixError> {
    if is_operators(config, token) {
        return Ok(true);
    }
    ask_storage(edge, CheckRegistrationToken { token: token.to_owned(), now: edge.now() }).await
}

/// The one token that is part of the configuration, and never used up.
pub(crate) fn is_operators(config: &Config, token: &str) -> bool {
    config.registration_token.as_deref().is_some_and(|expected| secret::same(expected, token))
}

fn store_name(session: &str) -> String {
    format!("uia/{session}")
}
