//! Users to be found: by name, by rooms.

use serde::Deserialize;
use serde_json::json;
use tern_edge::user_search;
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Search) Post "/_matrix/client/v3/user_directory/search" => search_users;
    Token Get "/_matrix/client/v1/mutual_rooms" => mutual_rooms;
};

/// `POST /user_directory/search`
async fn search_users(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        search_term: String,
        limit: Option<u64>,
    }
    let body: Body = request.json()?;
    let caller = (&*request.caller()?.user_id, request.session()?);
    let found = user_search::search(edge, &edge.config, caller, &body.search_term, body.limit).await?;
    Answer::json(&json!({ "results": found.users, "limited": found.limited }))
}

/// `GET /mutual_rooms`
async fn mutual_rooms(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let other = request.query("user_id").ok_or_else(|| MatrixError::missing_param("user_id is missing"))?;
    let other = ruma::UserId::parse(other).map_err(|_| MatrixError::invalid_param("Not a user id"))?;
    if request.query("from").is_some() {
        return Err(MatrixError::invalid_param("There is only one page"));
    }
    let caller = &request.caller()?.user_id;
    let rooms = user_search::mutual_rooms(edge, &edge.config, caller, request.session()?, &other).await?;
    Answer::json(&json!({ "joined": rooms, "count": rooms.len() }))
}
