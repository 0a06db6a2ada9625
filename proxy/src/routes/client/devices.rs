//! The caller's devices.

use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::json;
use tern_auth::uia::Auth;
use tern_edge::session;
use tern_model::MatrixError;
use tern_ports::{
    ask_user,
    wire::user::{ListDevices, RenameDevice, Renamed},
};

use super::session::end_tokens;
use crate::{edge::Edge, request::Incoming, respond::Answer, router::Route, routes::routes};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub Get "/_matrix/client/v3/devices" => list;
    Hub Get "/_matrix/client/v3/devices/{deviceId}" => read;
    Hub Put "/_matrix/client/v3/devices/{deviceId}" => rename;
    Token Delete "/_matrix/client/v3/devices/{deviceId}" => delete;
    Token Post "/_matrix/client/v3/delete_devices" => delete_many;
};

/// `GET /devices`
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let session = request.session()?;
    let devices = ask_user(edge, &request.caller()?.user_id, ListDevices { session }).await?;
    Answer::json(&json!({ "devices": devices }))
}

/// `GET /devices/{deviceId}`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let session = request.session()?;
    let devices = ask_user(edge, &request.caller()?.user_id, ListDevices { session }).await?;
    let wanted = request.device_id();
    match devices.iter().find(|device| device.device_id == wanted) {
        Some(device) => Answer::json(device),
        None => Err(MatrixError::not_found("Unknown device")),
    }
}

/// `PUT /devices/{deviceId}`
async fn rename(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        display_name: Option<String>,
    }
    let body: Body = request.json()?;
    let rename =
        RenameDevice { session: request.session()?, device_id: request.device_id(), display_name: body.display_name };
    let Renamed { created } = ask_user(edge, &request.caller()?.user_id, rename).await?;
    Ok(if created { Answer::empty().with_status(201) } else { Answer::empty() })
}

/// `DELETE /devices/{deviceId}`
async fn delete(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        auth: Option<Auth>,
    }
    let body: Body = request.json_or_empty()?;
    remove(edge, request, vec![request.device_id()], body.auth.as_ref()).await
}

/// `POST /delete_devices`
async fn delete_many(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        devices: Vec<OwnedDeviceId>,
        auth: Option<Auth>,
    }
    let body: Body = request.json()?;
    remove(edge, request, body.devices, body.auth.as_ref()).await
}

async fn remove(
    edge: &Edge,
    request: &Incoming,
    devices: Vec<OwnedDeviceId>,
    auth: Option<&Auth>,
) -> Result<Answer, MatrixError> {
    let user_id = &request.caller()?.user_id;
    let (session, parameters) = (request.session()?, request.parameters());
    session::delete_devices(edge, &edge.config, user_id, session, devices.clone(), parameters, auth).await?;
    end_tokens(edge, user_id, Some(&devices));
    Ok(Answer::empty())
}
