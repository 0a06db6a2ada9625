//! Sync: sliding in its two shapes, and the classic one. The waiting is in `tern_edge::poll`.

use serde::Deserialize;
use tern_edge::poll;
use tern_model::{MatrixError, Presence, StateAfter};
use tern_ports::wire::user::{ClassicSync, SlidingSync};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub Post "/_matrix/client/unstable/org.matrix.simplified_msc3575/sync" => sliding_unstable;
    Hub Post "/_matrix/client/v4/sync" => sliding_stable;
    Hub Get "/_matrix/client/v3/sync" => classic;
};

/// `POST /unstable/org.matrix.simplified_msc3575/sync` (MSC4186 as clients call it today: `pos` and `timeout` in the query)
async fn sliding_unstable(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let pos = request.query("pos").map(str::to_owned);
    let timeout = request.query_number("timeout")?.unwrap_or(0);
    sliding(edge, request, false, pos, timeout, set_presence(request)?).await
}

/// `POST /v4/sync` (MSC4186 as merged: `pos` and `timeout` in the body)
async fn sliding_stable(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Position {
        pos: Option<String>,
        timeout: Option<u64>,
        set_presence: Option<String>,
    }
    let position: Position = request.json()?;
    let presence = presence(position.set_presence.as_deref())?;
    sliding(edge, request, true, position.pos, position.timeout.unwrap_or(0), presence).await
}

async fn sliding(
    edge: &Edge,
    request: &Incoming,
    stable: bool,
    pos: Option<String>,
    timeout: u64,
    presence: Option<Presence>,
) -> Result<Answer, MatrixError> {
    let body = request.object()?;
    let session = request.session()?;
    let command = |may_wait| SlidingSync {
        session: session.clone(),
        body: body.clone(),
        pos: pos.clone(),
        stable,
        may_wait,
        presence,
    };
    answer(edge, request, command, timeout).await
}

/// `GET /sync`
async fn classic(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let timeout = request.query_number("timeout")?.unwrap_or(0);
    let full_state = request.query_flag("full_state")?;
    let state_after = state_after(request)?;
    let (session, presence) = (request.session()?, set_presence(request)?);
    let command = |may_wait| ClassicSync {
        session: session.clone(),
        since: request.query("since").map(str::to_owned),
        filter: request.query("filter").map(str::to_owned),
        full_state,
        state_after,
        may_wait,
        presence,
        rooms_alone: false,
    };
    answer(edge, request, command, timeout).await
}

fn state_after(request: &Incoming) -> Result<Option<StateAfter>, MatrixError> {
    if request.query_flag("use_state_after")? {
        return Ok(Some(StateAfter::Stable));
    }
    Ok(request.query_flag("org.matrix.msc4222.use_state_after")?.then_some(StateAfter::Unstable))
}

/// `set_presence` of the query.
fn set_presence(request: &Incoming) -> Result<Option<Presence>, MatrixError> {
    presence(request.query("set_presence"))
}

fn presence(text: Option<&str>) -> Result<Option<Presence>, MatrixError> {
    let unknown = || MatrixError::invalid_param("Unknown set_presence");
    text.map(|text| Presence::parse(text).ok_or_else(unknown)).transpose()
}

async fn answer<C>(
    edge: &Edge,
    request: &Incoming,
    command: impl Fn(bool) -> C,
    timeout: u64,
) -> Result<Answer, MatrixError>
where
    C: Into<tern_ports::wire::UserCommand>,
{
    let user_id = &request.caller()?.user_id;
    let polled = poll::long_poll(&*edge.wire, edge, user_id, |may_wait| command(may_wait).into(), timeout).await?;
    edge.confirmed(request.identity()?, polled.confirmed);
    Ok(Answer::raw(&polled.body))
}
