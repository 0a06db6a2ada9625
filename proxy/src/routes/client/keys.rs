//! End-to-end encryption keys: the hubs of their owners judge and keep them.

use std::{collections::BTreeMap, future::ready, rc::Rc};

use futures::{StreamExt, stream};
use ruma::{OwnedDeviceId, OwnedUserId};
use serde::Deserialize;
use serde_json::json;
use tern_auth::uia::Auth;
use tern_edge::keys::{self, Query};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_user,
    wire::keys::{ReadDeviceLists, UploadCrossSigning, UploadKeys},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub(Keys) Post "/_matrix/client/v3/keys/query" => query;
    Token(Keys) Post "/_matrix/client/v3/keys/claim" => claim;
    Hub Post "/_matrix/client/v3/keys/upload" => upload;
    Hub Get "/_matrix/client/v3/keys/changes" => changes;
    Hub Post "/_matrix/client/v3/keys/signatures/upload" => upload_signatures;
    Hub Post "/_matrix/client/v3/keys/device_signing/upload" => upload_cross_signing;
};

/// `POST /keys/upload`
async fn upload(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        device_keys: Option<RawJson>,
        one_time_keys: Option<BTreeMap<String, RawJson>>,
        fallback_keys: Option<BTreeMap<String, RawJson>>,
    }
    let body: Body = request.json()?;
    let upload = UploadKeys {
        session: request.session()?,
        device_keys: body.device_keys,
        one_time_keys: body.one_time_keys.unwrap_or_default(),
        fallback_keys: body.fallback_keys.unwrap_or_default(),
    };
    let counts = ask_user(edge, &request.caller()?.user_id, upload).await?;
    Answer::json(&json!({ "one_time_key_counts": counts }))
}

/// `POST /keys/query`
async fn query(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        device_keys: BTreeMap<OwnedUserId, Vec<OwnedDeviceId>>,
    }
    let body: Body = request.json()?;
    let asker = &request.caller()?.user_id;
    let mut query = Query::new(edge, &edge.config, asker, request.session()?, body.device_keys).await?;
    let first = query.next(edge).await?;
    if query.is_over() {
        return Ok(Answer::text(first));
    }
    let rest = stream::try_unfold((Rc::clone(&edge.wire), query), async |(wire, mut query)| {
        if query.is_over() {
            return Ok(None);
        }
        let piece = query.next(&*wire).await?;
        Ok(Some((piece, (wire, query))))
    });
    Ok(Answer::pieces(stream::once(ready(Ok(first))).chain(rest)))
}

/// `POST /keys/claim`
async fn claim(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        one_time_keys: BTreeMap<OwnedUserId, BTreeMap<OwnedDeviceId, String>>,
    }
    let body: Body = request.json()?;
    Answer::json(&keys::claim(edge, &edge.config, body.one_time_keys).await?)
}

/// `GET /keys/changes`
async fn changes(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let token = |name: &str| {
        let token = request.query(name).map(str::to_owned);
        token.ok_or_else(|| MatrixError::missing_param(format!("{name} is missing")))
    };
    let ask = ReadDeviceLists { session: request.session()?, from: token("from")?, to: token("to")? };
    Answer::json(&ask_user(edge, &request.caller()?.user_id, ask).await?)
}

/// `POST /keys/device_signing/upload`
async fn upload_cross_signing(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        master_key: Option<RawJson>,
        self_signing_key: Option<RawJson>,
        user_signing_key: Option<RawJson>,
        auth: Option<Auth>,
    }
    let body: Body = request.json()?;
    let upload = UploadCrossSigning {
        session: request.session()?,
        master: body.master_key,
        self_signing: body.self_signing_key,
        user_signing: body.user_signing_key,
        proved: false,
    };
    let user_id = &request.caller()?.user_id;
    let auth = body.auth.as_ref();
    keys::upload_cross_signing(edge, &edge.config, user_id, upload, request.parameters(), auth).await?;
    Ok(Answer::empty())
}

/// `POST /keys/signatures/upload`
async fn upload_signatures(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let signed: BTreeMap<OwnedUserId, BTreeMap<String, RawJson>> = request.json()?;
    let signer = &request.caller()?.user_id;
    let failures = keys::upload_signatures(edge, &edge.config, signer, request.session()?, signed).await?;
    Answer::json(&json!({ "failures": failures }))
}
