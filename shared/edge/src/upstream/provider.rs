//! What is asked of a provider.

use std::{cell::RefCell, collections::BTreeMap};

use serde::{Deserialize, de::DeserializeOwned};
use tern_auth::upstream::{self as rules, Discovery, IdToken, Refused, Subject};
use tern_model::{Config, Jwk, MatrixError, Millis, RawJson, upstream::Provider};
use tern_ports::{
    Clock, Crypto, Outbound,
    outbound::{Bounds, HttpRequest, fetch},
};
use url::Url;

/// How soon its keys are looked at again for one that is not known, in milliseconds.
const KEYS_AGAIN: u64 = 60_000;
/// How long what a provider says of itself is believed, in milliseconds.
const KNOWN_FOR: u64 = 60 * 60_000;
const BOUNDS: Bounds = Bounds { timeout_ms: 10_000, max_bytes: 256 << 10, cut: false, redirects: 0, plain: false };

/// What providers have said of themselves, in this isolate.
#[derive(Default)]
pub struct Known(RefCell<BTreeMap<String, (Millis, RawJson)>>);

/// Exchanges the code, and says who the id token is about.
pub(super) async fn ask_who<E: Outbound + Clock + Crypto>(
    edge: &E,
    config: &Config,
    known: &Known,
    provider: &Provider,
    state: &str,
    code: &str,
) -> Result<Subject, MatrixError> {
    #[derive(Deserialize)]
    struct Tokens {
        id_token: String,
    }
    let discovery = discover(edge, known, provider).await?;
    let (body, secret) = discovery.exchange(config, provider, state, code);
    let url = address(&discovery.token_endpoint)?;
    let mut request = HttpRequest::post(url, "application/x-www-form-urlencoded", body.into_bytes());
    request = request.with_header("accept", "application/json");
    if let Some(secret) = secret {
        request = request.with_header("authorization", secret);
    }
    let answer = fetch(edge, request, BOUNDS).await.map_err(|_| bad_gateway())?;
    let tokens: Option<Tokens> = serde_json::from_slice(&answer.body).ok().filter(|_| answer.status == 200);
    let tokens = tokens.ok_or_else(|| refused(Refused("The provider gave no id token")))?;
    let token = IdToken::read(&tokens.id_token).map_err(refused)?;
    let key = key(edge, known, &discovery, &token).await?;
    if !edge.verify(token.algorithm, &key, token.signed.as_bytes(), &token.signature).await.unwrap_or(false) {
        return Err(refused(Refused("The id token is not signed by the provider")));
    }
    token.believe(config, provider, state, edge.now()).map_err(refused)
}

/// The key of an id token. Keys change, so one that is not known makes them be asked for again, but not at every request.
async fn key<E: Outbound + Clock>(
    edge: &E,
    known: &Known,
    discovery: &Discovery,
    token: &IdToken,
) -> Result<Jwk, MatrixError> {
    #[derive(Deserialize)]
    struct Keys {
        keys: Vec<Jwk>,
    }
    for within in [KNOWN_FOR, KEYS_AGAIN] {
        let keys: Keys = document(edge, known, &discovery.jwks_uri, within).await?;
        if let Some(key) = token.key(&keys.keys) {
            return Ok(key.clone());
        }
    }
    Err(refused(Refused("The provider has no such key")))
}

pub(super) async fn discover<E: Outbound + Clock>(
    edge: &E,
    known: &Known,
    provider: &Provider,
) -> Result<Discovery, MatrixError> {
    let discovery: Discovery = document(edge, known, &rules::discovery_url(provider), KNOWN_FOR).await?;
    if discovery.is_of(provider) { Ok(discovery) } else { Err(bad_gateway()) }
}

/// A JSON document of a provider, no older than `within` milliseconds.
async fn document<E: Outbound + Clock, T: DeserializeOwned>(
    edge: &E,
    known: &Known,
    url: &str,
    within: u64,
) -> Result<T, MatrixError> {
    let now = edge.now();
    let kept = known.0.borrow().get(url).filter(|(at, _)| now.since(*at) < within).map(|(_, text)| text.clone());
    let text = if let Some(text) = kept {
        text
    } else {
        let request = HttpRequest::get(address(url)?).with_header("accept", "application/json");
        let answer = fetch(edge, request, BOUNDS).await.map_err(|_| bad_gateway())?;
        let text = String::from_utf8(answer.body).ok().filter(|_| answer.status == 200);
        let text = text.and_then(|text| RawJson::parse(text).ok()).ok_or_else(bad_gateway)?;
        known.0.borrow_mut().insert(url.to_owned(), (now, text.clone()));
        text
    };
    text.read().map_err(|_| bad_gateway())
}

fn address(url: &str) -> Result<Url, MatrixError> {
    Url::parse(url).map_err(|_| bad_gateway())
}

fn bad_gateway() -> MatrixError {
    MatrixError::new(502, "M_UNKNOWN", "The provider does not answer as it should")
}

pub(super) fn refused(refused: Refused) -> MatrixError {
    MatrixError::new(403, "M_UNKNOWN", refused.0)
}
