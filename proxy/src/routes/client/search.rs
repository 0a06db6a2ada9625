//! Searching what was said.

use serde::{Deserialize, Serialize};
use tern_edge::search::{self, Criteria, Found};
use tern_model::MatrixError;

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token(Search) Post "/_matrix/client/v3/search" => search;
};

/// What is searched for, or found, by category.
#[derive(Serialize, Deserialize)]
struct Categories<T> {
    search_categories: Category<T>,
}

#[derive(Serialize, Deserialize)]
struct Category<T> {
    #[serde(default = "Option::default", skip_serializing_if = "Option::is_none")]
    room_events: Option<T>,
}

/// `POST /search`
async fn search(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let asked: Categories<Criteria> = request.json()?;
    let room_events = match asked.search_categories.room_events {
        Some(criteria) => Some(find(edge, request, criteria).await?),
        None => None,
    };
    Answer::json(&Categories { search_categories: Category { room_events } })
}

async fn find(edge: &Edge, request: &Incoming, criteria: Criteria) -> Result<Found, MatrixError> {
    search::room_events(edge, request.caller()?, request.session()?, criteria, request.query("next_batch")).await
}
