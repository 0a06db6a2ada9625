//! Dehydrated devices (MSC3814).

use std::collections::BTreeMap;

use ruma::OwnedDeviceId;
use serde::Deserialize;
use serde_json::json;
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_user,
    wire::keys::{DeleteDehydrated, PutDehydrated, ReadDehydrated, ReadDehydratedEvents},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub Put "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device" => put;
    Hub Get "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device" => read;
    Hub Delete "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device" => delete;
    Hub Post "/_matrix/client/unstable/org.matrix.msc3814.v1/dehydrated_device/{deviceId}/events" => events;
};

/// `PUT /dehydrated_device`
async fn put(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        device_id: OwnedDeviceId,
        device_data: RawJson,
        initial_device_display_name: Option<String>,
        device_keys: RawJson,
        one_time_keys: Option<BTreeMap<String, RawJson>>,
        fallback_keys: Option<BTreeMap<String, RawJson>>,
    }
    let body: Body = request.json()?;
    if !body.device_data.text().starts_with('{') {
        return Err(MatrixError::bad_json("device_data must be an object"));
    }
    let device_id = body.device_id.clone();
    let put = PutDehydrated {
        session: request.session()?,
        device_id: body.device_id,
        device_data: body.device_data,
        display_name: body.initial_device_display_name,
        device_keys: body.device_keys,
        one_time_keys: body.one_time_keys.unwrap_or_default(),
        fallback_keys: body.fallback_keys.unwrap_or_default(),
    };
    ask_user(edge, &request.caller()?.user_id, put).await?;
    Answer::json(&json!({ "device_id": device_id }))
}

/// `GET /dehydrated_device`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ReadDehydrated { session: request.session()? };
    Answer::json(&ask_user(edge, &request.caller()?.user_id, ask).await?.ok_or_else(none)?)
}

/// `DELETE /dehydrated_device`
async fn delete(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = DeleteDehydrated { session: request.session()? };
    let device_id = ask_user(edge, &request.caller()?.user_id, ask).await?.ok_or_else(none)?;
    Answer::json(&json!({ "device_id": device_id }))
}

/// `POST /dehydrated_device/{deviceId}/events`
async fn events(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        next_batch: Option<String>,
    }
    let body: Body = request.json_or_empty()?;
    let ask = ReadDehydratedEvents {
        session: request.session()?,
        device_id: request.device_id(),
        next_batch: body.next_batch,
    };
    Answer::json(&ask_user(edge, &request.caller()?.user_id, ask).await?)
}

fn none() -> MatrixError {
    MatrixError::not_found("There is no dehydrated device")
}
