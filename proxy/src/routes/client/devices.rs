//! The caller's devices.

use ruma::{DeviceId, OwnedDeviceId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tern_auth::uia::Auth;
use tern_edge::session;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    ask_user,
    wire::user::{Device, ListDevices, RenameDevice, Renamed},
};

use crate::{
    edge::Edge,
    identity::end_tokens,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub Get "/_matrix/client/v3/devices" => list;
    Hub Get "/_matrix/client/v3/devices/{deviceId}" => read;
    Hub Put "/_matrix/client/v3/devices/{deviceId}" => rename;
    Token Delete "/_matrix/client/v3/devices/{deviceId}" => delete;
    Token Post "/_matrix/client/v3/delete_devices" => delete_many;
};

/// A device as it is shown. The schema of the Client-Server API has texts and a number where matrix-nio asks for every key:
/// what is not known is there, and empty.
#[derive(Serialize)]
struct Shown<'a> {
    device_id: &'a DeviceId,
    display_name: &'a str,
    last_seen_ip: &'a str,
    last_seen_ts: Millis,
}

impl<'a> From<&'a Device> for Shown<'a> {
    fn from(device: &'a Device) -> Self {
        Self {
            device_id: &device.device_id,
            display_name: device.display_name.as_deref().unwrap_or_default(),
            last_seen_ip: device.last_seen_ip.as_deref().unwrap_or_default(),
            last_seen_ts: device.last_seen_ts.unwrap_or_default(),
        }
    }
}

/// `GET /devices`
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let session = request.session()?;
    let devices = ask_user(edge, &request.caller()?.user_id, ListDevices { session }).await?;
    let devices: Vec<_> = devices.iter().map(Shown::from).collect();
    Answer::json(&json!({ "devices": devices }))
}

/// `GET /devices/{deviceId}`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let session = request.session()?;
    let devices = ask_user(edge, &request.caller()?.user_id, ListDevices { session }).await?;
    let wanted = request.device_id();
    match devices.iter().find(|device| device.device_id == wanted) {
        Some(device) => Answer::json(&Shown::from(device)),
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

#[cfg(test)]
mod tests {
    use serde_json::json;
    use tern_model::Millis;
    use tern_ports::wire::user::Device;

    use super::Shown;

    #[test]
    fn what_is_not_known_of_a_device_is_there_and_empty() {
        let dehydrated = Device { device_id: "D".into(), display_name: None, last_seen_ts: None, last_seen_ip: None };
        assert_eq!(
            json!(Shown::from(&dehydrated)),
            json!({ "device_id": "D", "display_name": "", "last_seen_ip": "", "last_seen_ts": 0 })
        );
        let (name, ip) = (Some("Fön".to_owned()), Some("2001:db8::1".to_owned()));
        let seen =
            Device { device_id: "E".into(), display_name: name, last_seen_ts: Some(Millis(5)), last_seen_ip: ip };
        assert_eq!(
            json!(Shown::from(&seen)),
            json!({ "device_id": "E", "display_name": "Fön", "last_seen_ip": "2001:db8::1", "last_seen_ts": 5 })
        );
    }
}
