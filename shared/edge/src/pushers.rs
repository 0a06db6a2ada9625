//! Setting pushers (Client-Server API, `POST /pushers/set`; MSC3881): what a client may ask for, and where its gateway may
//! be.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use ruma::UserId;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use tern_model::{Bounded, MatrixError, Name, RawJson};
use tern_ports::{
    Clock, Outbound, Transport, ask_storage, ask_user,
    outbound::{Reach, address},
    wire::{
        pushers::{AppId, DeletePusher, FindPushkey, PusherFields, PusherJson, Pushkey, SavePushkey, SetPusher},
        user::SessionRef,
    },
};
use url::Url;

/// The one path of gateways (Push Gateway API).
const PATH: &str = "/_matrix/push/v1/notify";
/// Longest address of a gateway, in bytes.
const LONGEST_URL: usize = 2_048;
/// Longest `data` beside the address, in bytes.
const LONGEST_DATA: usize = 4_096;
/// Longest `app_id`, in characters.
const LONGEST_APP_ID: usize = 64;

/// Sets or deletes a pusher as `body` says.
///
/// # Errors
/// `M_MISSING_PARAM` or `M_INVALID_PARAM` when the body does not say what it must, `M_LIMIT_EXCEEDED` for one pusher too
/// many.
pub async fn set<E: Transport + Outbound + Clock>(
    edge: &E,
    user_id: &UserId,
    session: SessionRef,
    body: &RawJson,
) -> Result<(), MatrixError> {
    let body: Map<String, Value> = body.read().map_err(|_| MatrixError::bad_json("The body must be a JSON object"))?;
    let (app_id, pushkey) = (app_id(&body)?, pushkey(&body)?);
    match body.get("kind") {
        None => Err(MatrixError::missing_param("kind is missing")),
        Some(Value::Null) => {
            ask_user(edge, user_id, DeletePusher { session: Some(session), app_id, pushkey }).await.map(drop)
        }
        Some(Value::String(kind)) if kind == "http" => {
            let pusher = fields(&body, edge.reach())?;
            let append = optional_flag(&body, "append")?.unwrap_or(false);
            let (app, key) = (app_id.clone(), pushkey.clone());
            ask_user(edge, user_id, SetPusher { session, app_id, pushkey, pusher }).await?;
            take_over(edge, user_id, (app, key), append).await
        }
        Some(_) => Err(MatrixError::invalid_param("kind must be http or null")),
    }
}

/// The device is this user's now, and nobody else's unless they share it. Should this end half-way, setting the pusher again
/// goes on with it.
async fn take_over<E: Transport + Clock>(
    edge: &E,
    user_id: &UserId,
    (app_id, pushkey): (AppId, Pushkey),
    append: bool,
) -> Result<(), MatrixError> {
    let key = Name::cut(URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{app_id}\0{pushkey}"))));
    let known = ask_storage(edge, FindPushkey { key: key.clone() }).await?;
    let others = known.iter().filter(|other| *other != user_id && !append);
    for other in others.clone() {
        let gone = DeletePusher { session: None, app_id: app_id.clone(), pushkey: pushkey.clone() };
        ask_user(edge, other, gone).await?;
    }
    if others.count() > 0 || !known.iter().any(|known| known == user_id) {
        ask_storage(edge, SavePushkey { key, user_id: user_id.to_owned(), append, ts: edge.now() }).await?;
    }
    Ok(())
}

fn app_id(body: &Map<String, Value>) -> Result<AppId, MatrixError> {
    let app_id = required(body, "app_id")?;
    let fits = (1..=LONGEST_APP_ID).contains(&app_id.chars().count());
    Some(app_id).filter(|_| fits).and_then(|text| Bounded::new(text).ok()).ok_or_else(|| invalid("app_id"))
}

fn pushkey(body: &Map<String, Value>) -> Result<Pushkey, MatrixError> {
    let pushkey = Some(required(body, "pushkey")?).filter(|pushkey| !pushkey.is_empty());
    pushkey.and_then(|text| Bounded::new(text).ok()).ok_or_else(|| invalid("pushkey"))
}

fn fields(body: &Map<String, Value>, reach: Reach) -> Result<PusherFields, MatrixError> {
    let name = |key| Name::new(required(body, key)?).map_err(|_| invalid(key));
    Ok(PusherFields {
        app_display_name: name("app_display_name")?,
        device_display_name: name("device_display_name")?,
        lang: name("lang")?,
        profile_tag: optional_text(body, "profile_tag")?,
        data: data(body, reach)?,
        enabled: enabled(body)?,
    })
}

/// The stable name first.
fn enabled(body: &Map<String, Value>) -> Result<bool, MatrixError> {
    let stable = optional_flag(body, "enabled")?;
    Ok(stable.or(optional_flag(body, "org.matrix.msc3881.enabled")?).unwrap_or(true))
}

fn data(body: &Map<String, Value>, reach: Reach) -> Result<PusherJson, MatrixError> {
    let data = match body.get("data") {
        None | Some(Value::Null) => return Err(MatrixError::missing_param("data is missing")),
        Some(Value::Object(data)) => data,
        Some(_) => return Err(invalid("data")),
    };
    let url = required(data, "url")?;
    check_url(url, reach)?;
    if data.get("format").is_some_and(|format| !format.is_string()) {
        return Err(invalid("data.format"));
    }
    let json = RawJson::from_value(data).map_err(|_| MatrixError::internal())?;
    if json.text().len().saturating_sub(url.len()) > LONGEST_DATA {
        return Err(MatrixError::invalid_param("data is too long"));
    }
    PusherJson::new(json).map_err(|_| MatrixError::invalid_param("data is too long"))
}

fn check_url(text: &str, reach: Reach) -> Result<(), MatrixError> {
    let url = Some(text).filter(|text| text.len() <= LONGEST_URL).and_then(|text| Url::parse(text).ok());
    let url = url.ok_or_else(|| invalid("data.url"))?;
    if url.path() != PATH || url.fragment().is_some() {
        return Err(MatrixError::invalid_param(format!("data.url must have the path {PATH}")));
    }
    address::check(&url, reach, false).map_err(MatrixError::invalid_param)
}

fn required<'a>(object: &'a Map<String, Value>, key: &str) -> Result<&'a str, MatrixError> {
    match object.get(key) {
        None | Some(Value::Null) => Err(MatrixError::missing_param(format!("{key} is missing"))),
        Some(Value::String(text)) => Ok(text),
        Some(_) => Err(invalid(key)),
    }
}

fn optional_text(body: &Map<String, Value>, key: &str) -> Result<Option<Name>, MatrixError> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Name::new(text.as_str()).map(Some).map_err(|_| invalid(key)),
        Some(_) => Err(invalid(key)),
    }
}

fn optional_flag(body: &Map<String, Value>, key: &str) -> Result<Option<bool>, MatrixError> {
    match body.get(key) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(invalid(key)),
    }
}

fn invalid(key: &str) -> MatrixError {
    MatrixError::invalid_param(format!("{key} is empty, too long or of the wrong type"))
}
