//! Presence (Client-Server API, "Presence"): what a user's hub shows of him.

use serde::Deserialize;
use tern_model::{MatrixError, Presence};
use tern_ports::{
    ask_user,
    wire::presence::{ReadPresence, SetPresence},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub(Ephemeral) Put "/_matrix/client/v3/presence/{userId}/status" => set;
    Token Get "/_matrix/client/v3/presence/{userId}/status" => read;
};

/// `PUT /presence/{userId}/status`
async fn set(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        presence: Presence,
        status_msg: Option<String>,
    }
    let user_id = request.own_user_id()?;
    let Body { presence, status_msg } = request.json()?;
    ask_user(edge, &user_id, SetPresence { session: request.session()?, presence, status_msg }).await?;
    Ok(Answer::empty())
}

/// `GET /presence/{userId}/status`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let user_id = request.user_id()?;
    if user_id.server_name() != edge.config.server_name {
        return Err(MatrixError::not_found("Nothing is known of this user's presence"));
    }
    let caller = request.caller()?.user_id.clone();
    Ok(Answer::raw(&ask_user(edge, &user_id, ReadPresence { caller }).await?))
}
