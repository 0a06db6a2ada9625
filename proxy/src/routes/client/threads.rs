//! Thread subscriptions (MSC4306, MSC4308).

use ruma::OwnedEventId;
use serde::Deserialize;
use serde_json::json;
use tern_edge::threads::{self, Thread};
use tern_model::MatrixError;
use tern_ports::{
    ask_user,
    wire::threads::{ListThreadSubscriptions, ReadThreadSubscription},
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Token Put "/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription" => subscribe;
    Token Delete "/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription" => unsubscribe;
    Hub Get "/_matrix/client/unstable/io.element.msc4306/rooms/{roomId}/thread/{eventId}/subscription" => read;
    Hub Get "/_matrix/client/unstable/io.element.msc4308/thread_subscriptions" => list;
};

/// Changes in a page when the client does not say.
const PAGE: u64 = 100;

/// `PUT /rooms/{roomId}/thread/{eventId}/subscription`
async fn subscribe(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        automatic: Option<OwnedEventId>,
    }
    let body: Body = request.json_or_empty()?;
    threads::subscribe(edge, request.caller()?, request.session()?, thread(request)?, body.automatic).await?;
    Ok(Answer::empty())
}

/// `DELETE /rooms/{roomId}/thread/{eventId}/subscription`
async fn unsubscribe(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    threads::unsubscribe(edge, request.caller()?, request.session()?, thread(request)?).await?;
    Ok(Answer::empty())
}

/// `GET /rooms/{roomId}/thread/{eventId}/subscription`
async fn read(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let Thread { room_id, root } = thread(request)?;
    let ask = ReadThreadSubscription { session: request.session()?, room_id, root };
    let automatic = ask_user(edge, &request.caller()?.user_id, ask).await?;
    let automatic = automatic.ok_or_else(|| MatrixError::not_found("The thread is not subscribed to"))?;
    Answer::json(&json!({ "automatic": automatic }))
}

/// `GET /thread_subscriptions`
async fn list(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    match request.backwards()? {
        Some(true) => {}
        Some(false) => return Err(MatrixError::invalid_param("Only dir=b is possible")),
        None => return Err(MatrixError::missing_param("dir is missing")),
    }
    let limit = request.query_number("limit")?.unwrap_or(PAGE);
    if limit == 0 {
        return Err(MatrixError::invalid_param("limit must be greater than zero"));
    }
    let ask =
        ListThreadSubscriptions { session: request.session()?, from: request.query("from").map(str::to_owned), limit };
    Ok(Answer::raw(&ask_user(edge, &request.caller()?.user_id, ask).await?))
}

fn thread(request: &Incoming) -> Result<Thread, MatrixError> {
    Ok(Thread { room_id: request.room_id()?, root: request.event_id()? })
}
