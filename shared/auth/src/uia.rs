//! User-interactive authentication (Client-Server API, "User-Interactive Authentication API").
//!
//! The id of a session says by a signature of its own for which operation of which user it was opened, with which
//! parameters, and until when it is good. So nothing has to be stored for a challenge that nobody answers, and a session cannot be used for anything
//! else than what its owner was asked about. Completed stages of a session that needs more than one are remembered by
//! `tern_edge::uia`.

use std::collections::BTreeMap;

use hmac::{Hmac, Mac};
use ruma::UserId;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use tern_model::{Config, MatrixError, Millis};

use crate::{
    login::Credentials,
    mail::Creds,
    secret::{base64, from_base64},
};

/// How long a session is good, in milliseconds.
pub const LIFETIME: u64 = 60 * 60 * 1000;
/// Bytes of a session's id: random ones, its end, its purpose, its signature.
const RANDOM: usize = 12;
const DIGEST: usize = 16;
const SIGNED: usize = RANDOM + 8 + DIGEST;
const SIGNATURE: usize = 16;

/// One thing that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// `m.login.dummy`: no proof.
    Dummy,
    /// `m.login.registration_token`: a secret that the operator gives to invited people.
    RegistrationToken,
    /// `m.login.terms`: having read the terms.
    Terms,
    /// `m.login.password`: the password of the account.
    Password,
    /// `m.login.email.identity`: a proven mail address.
    Email,
    /// `m.login.sso`: being signed in in a browser.
    Sso,
}

impl Stage {
    /// Its `type`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dummy => "m.login.dummy",
            Self::RegistrationToken => "m.login.registration_token",
            Self::Terms => "m.login.terms",
            Self::Password => "m.login.password",
            Self::Email => "m.login.email.identity",
            Self::Sso => "m.login.sso",
        }
    }
}

/// Stages that together are enough.
pub type Flow = Vec<Stage>;

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
    /// Of the mail stage, under its older name as well.
    #[serde(alias = "threepidCreds")]
    pub threepid_creds: Option<Creds>,
    /// Of the password stage.
    #[serde(flatten)]
    pub credentials: Credentials,
}

/// What a session is for.
#[derive(Clone, Copy, Debug)]
pub struct Purpose<'a> {
    /// The operation, such as `delete_devices`.
    pub operation: &'a str,
    /// Who asks for it, when somebody is signed in.
    pub user_id: Option<&'a UserId>,
    /// What exactly is asked for. Of whoever is not signed in, anything: such a session opens no account that there is.
    pub parameters: Parameters,
}

/// What a request asks for apart from its proof, as a digest: "the client MUST submit the same request parameters".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Parameters([u8; 32]);

impl Parameters {
    /// Of the parameters of the path, and of the body but for `auth`. A body that is no object has none.
    pub fn of<'a>(path: impl IntoIterator<Item = &'a str>, body: &[u8]) -> Self {
        let mut fields: BTreeMap<String, Value> = serde_json::from_slice(body).unwrap_or_default();
        fields.remove("auth");
        let path: Vec<&str> = path.into_iter().collect();
        Self(Sha256::digest(json!([path, fields]).to_string()).into())
    }
}

impl Purpose<'_> {
    /// Under our key, since a parameter may be a password.
    fn digest(&self, config: &Config) -> [u8; DIGEST] {
        let user = self.user_id.map_or("", UserId::as_str);
        let mac = Hmac::<Sha256>::new_from_slice(&config.token_key).ok();
        let mac = mac.map(|mac| {
            let mac = mac.chain_update(b"tern uia purpose 1").chain_update(self.operation).chain_update([0]);
            mac.chain_update(user).chain_update([0]).chain_update(self.parameters.0).finalize().into_bytes()
        });
        let mut short = [0; DIGEST];
        short.iter_mut().zip(mac.into_iter().flatten()).for_each(|(to, from)| *to = from);
        short
    }
}

/// The id of a new session.
pub fn open_session(config: &Config, purpose: &Purpose<'_>, now: Millis, random: [u8; RANDOM]) -> String {
    let mut id = random.to_vec();
    id.extend(now.plus(LIFETIME).0.to_be_bytes());
    id.extend(purpose.digest(config));
    let signature = sign(config, &id).map(|mac| mac.finalize().into_bytes());
    id.extend(signature.iter().flatten().take(SIGNATURE));
    base64(&id)
}

/// Whether this is a session of ours, for this purpose, that is not over.
pub fn is_open(config: &Config, purpose: &Purpose<'_>, session: &str, now: Millis) -> bool {
    opened_for(config, session, now).is_some_and(|digest| digest == purpose.digest(config))
}

/// Whether this is a session of ours that is not over, whatever it is for.
pub fn is_any_open(config: &Config, session: &str, now: Millis) -> bool {
    opened_for(config, session, now).is_some()
}

/// The digest of what a session is for, if it is one of ours and not over.
fn opened_for(config: &Config, session: &str, now: Millis) -> Option<Vec<u8>> {
    let id = from_base64(session)?;
    let (signed, signature) = id.split_at_checked(SIGNED).filter(|(_, rest)| rest.len() == SIGNATURE)?;
    sign(config, signed)?.verify_truncated_left(signature).ok()?;
    let (_, end_and_purpose) = signed.split_at(RANDOM);
    let (end, digest) = end_and_purpose.split_at(8);
    (end > now.0.to_be_bytes().as_slice()).then(|| digest.to_vec())
}

fn sign(config: &Config, id: &[u8]) -> Option<Hmac<Sha256>> {
    let mac = Hmac::<Sha256>::new_from_slice(&config.token_key).ok()?;
    Some(mac.chain_update(b"tern uia session 1").chain_update(id))
}

/// How one may register; empty when registration is closed.
pub fn registration_flows(config: &Config) -> Vec<Flow> {
    let open = config.open_registration.then_some(Stage::Dummy);
    let by_token = config.registration_token.is_some() || config.accounts.registration_tokens;
    let invited = by_token.then_some(Stage::RegistrationToken);
    let terms = (!config.accounts.terms.is_empty()).then_some(Stage::Terms);
    let ways = open.into_iter().chain(invited);
    let plain: Vec<Flow> = ways.map(|stage| terms.into_iter().chain([stage]).collect()).collect();
    let Some(mail) = &config.accounts.mail else { return plain };
    let proven =
        |flow: &Flow| flow.iter().copied().filter(|stage| *stage != Stage::Dummy).chain([Stage::Email]).collect();
    let by_mail: Vec<Flow> = plain.iter().map(proven).collect();
    if mail.required { by_mail } else { [plain, by_mail].concat() }
}

/// What is asked of somebody who wants to do something sensitive to the account he is signed in to.
///
/// Whoever came with an account of another provider may have no password.
pub fn own_account_flows(config: &Config) -> Vec<Flow> {
    let by_browser = !config.accounts.upstream.is_empty();
    [Stage::Password].into_iter().chain(by_browser.then_some(Stage::Sso)).map(|stage| vec![stage]).collect()
}

/// Completed by the user on the account page, stable name first (MSC4312). Only clients that came by OAuth are sent there.
const APPROVAL: [&str; 2] = ["m.oauth", "org.matrix.cross_signing_reset"];

/// The challenge to open `url` and allow there what was asked for.
pub fn approval(session: &str, url: &str) -> MatrixError {
    let flows: Vec<Value> = APPROVAL.iter().map(|stage| json!({ "stages": [stage] })).collect();
    let params: Map<String, Value> =
        APPROVAL.iter().map(|stage| ((*stage).to_owned(), json!({ "url": url }))).collect();
    let body = [
        ("flows", Value::from(flows)),
        ("params", params.into()),
        ("completed", json!([])),
        ("session", session.into()),
    ];
    let body = body.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    MatrixError { body: Some(body), ..MatrixError::new(401, "", "") }
}

/// A challenge to be answered.
#[derive(Clone, Debug)]
pub struct Challenge<'a> {
    /// The flows, one of which is enough.
    pub flows: &'a [Flow],
    /// The session's id.
    pub session: &'a str,
}

impl Challenge<'_> {
    /// The stage of this name, if a flow has it.
    pub fn offers(&self, kind: &str) -> Option<Stage> {
        self.flows.iter().flatten().copied().find(|stage| stage.name() == kind)
    }

    /// Whether these stages are a whole flow.
    pub fn is_met(&self, completed: &[Stage]) -> bool {
        self.flows.iter().any(|flow| flow.iter().all(|stage| completed.contains(stage)))
    }

    /// Whether something has to be remembered between two requests.
    pub fn takes_turns(&self) -> bool {
        self.flows.iter().any(|flow| flow.len() > 1)
    }

    /// The answer that asks for what is still missing; an error only when a stage was `refused`.
    pub fn ask(&self, config: &Config, completed: &[Stage], refused: Option<&'static str>) -> MatrixError {
        let names = |stages: &[Stage]| stages.iter().map(|stage| stage.name().into()).collect::<Vec<Value>>();
        let flows: Vec<Value> = self.flows.iter().map(|flow| json!({ "stages": names(flow) })).collect();
        let mut params = Map::new();
        if self.offers(Stage::Terms.name()).is_some() {
            params.insert(Stage::Terms.name().to_owned(), json!({ "policies": config.accounts.terms }));
        }
        let body = [
            ("flows", Value::from(flows)),
            ("params", params.into()),
            ("completed", names(completed).into()),
            ("session", self.session.into()),
        ];
        let errcode = if refused.is_some() { "M_FORBIDDEN" } else { "" };
        MatrixError {
            body: Some(body.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ..MatrixError::new(401, errcode, refused.unwrap_or_default())
        }
    }
}
