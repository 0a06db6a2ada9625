//! User-interactive authentication (Client-Server API, "User-Interactive Authentication API").
//!
//! Every flow offered here has one stage, so a request either passes or is challenged: nothing is remembered between two
//! requests, and the session id is only given and taken back.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tern_model::{Config, MatrixError};

use crate::{login::Credentials, secret};

/// A stage, which here is also a whole flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.dummy`: no proof.
    Dummy,
    /// `m.login.registration_token`: a secret that the operator gives to invited people.
    RegistrationToken,
    /// `m.login.password`: the password of the account.
    Password,
}

impl Stage {
    /// Its `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::RegistrationToken => "m.login.registration_token",
            Self::Password => "m.login.password",
        }
    }
}

/// The `auth` object of a request.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct Auth {
    /// `type`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
    /// The session id given before.
    pub session: Option<String>,
    /// Of the registration token stage.
    pub token: Option<String>,
    /// Of the password stage.
    #[serde(flatten)]
    pub credentials: Credentials,
}

/// How one may register; empty when registration is closed.
pub fn registration_stages(config: &Config) -> Vec<Stage> {
    let open = config.open_registration.then_some(Stage::Dummy);
    let invited = config.registration_token.as_ref().map(|_| Stage::RegistrationToken);
    open.into_iter().chain(invited).collect()
}

/// A challenge to be answered.
#[derive(Clone, Debug)]
pub struct Challenge<'a> {
    /// The stages, one of which is enough.
    pub stages: &'a [Stage],
    /// The session's id.
    pub session: &'a str,
}

impl Challenge<'_> {
    /// The stage that the client attempts.
    ///
    /// # Errors
    /// The challenge itself when it attempts none, or one that is not offered.
    pub fn attempted<'b>(&self, auth: Option<&'b Auth>) -> Result<(Stage, &'b Auth), MatrixError> {
        let Some((auth, kind)) = auth.and_then(|auth| Some((auth, auth.kind.as_deref()?))) else {
            return Err(self.error(None));
        };
        match self.stages.iter().find(|stage| stage.name() == kind) {
            Some(stage) => Ok((*stage, auth)),
            None => Err(self.refuse("This stage is not offered")),
        }
    }

    /// Checks the registration token stage.
    ///
    /// # Errors
    /// The challenge, when the token is not the operator's.
    pub fn check_registration_token(&self, config: &Config, auth: &Auth) -> Result<(), MatrixError> {
        match (&config.registration_token, &auth.token) {
            (Some(secret), Some(claimed)) if secret::same(secret, claimed) => Ok(()),
            _ => Err(self.refuse("Invalid registration token")),
        }
    }

    /// The challenge again, after a stage that was not passed.
    pub fn refuse(&self, message: &'static str) -> MatrixError {
        self.error(Some(message))
    }

    fn error(&self, refused: Option<&'static str>) -> MatrixError {
        let flows: Vec<Value> = self.stages.iter().map(|stage| json!({ "stages": [stage.name()] })).collect();
        let body = [
            ("flows", Value::from(flows)),
            ("params", json!({})),
            ("completed", json!([])),
            ("session", self.session.into()),
        ];
        let errcode = if refused.is_some() { "M_FORBIDDEN" } else { "" };
        MatrixError {
            body: Some(body.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Map<_, _>>()),
            ..MatrixError::new(401, errcode, refused.unwrap_or_default())
        }
    }
}
