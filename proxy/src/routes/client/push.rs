//! Push rules, what they notified of, and pushers.

use serde::Deserialize;
use tern_edge::{
    push::{self, View},
    pushers,
};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    ask_user,
    wire::{
        notifications::ListNotifications,
        pushers::ListPushers,
        user::{ChangePushRule, PushRuleChange},
    },
};

use crate::{
    edge::Edge,
    request::Incoming,
    respond::Answer,
    route::{Route, routes},
};

pub(crate) const ROUTES: &[Route] = routes! {
    Hub Get "/_matrix/client/v3/notifications" => notifications;
    Hub Get "/_matrix/client/v3/pushers" => list_pushers;
    Hub Post "/_matrix/client/v3/pushers/set" => set_pusher;
    Hub Get "/_matrix/client/v3/pushrules/" => read_all;
    Hub Get "/_matrix/client/v3/pushrules/global/" => read_global;
    Hub Get "/_matrix/client/v3/pushrules/global/{kind}/" => read_kind;
    Hub Get "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}" => read_rule;
    Hub Put "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}" => put_rule;
    Hub Delete "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}" => delete_rule;
    Hub Get "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled" => read_enabled;
    Hub Put "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/enabled" => put_enabled;
    Hub Get "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions" => read_actions;
    Hub Put "/_matrix/client/v3/pushrules/global/{kind}/{ruleId}/actions" => put_actions;
};

/// Notifications in a page when the client does not say.
const PAGE: u64 = 20;

/// `GET /notifications`
async fn notifications(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let highlights = match request.query("only") {
        None => false,
        Some("highlight") => true,
        Some(_) => return Err(MatrixError::invalid_param("only knows no other value than highlight")),
    };
    let limit = request.query_number("limit")?.unwrap_or(PAGE);
    if limit == 0 {
        return Err(MatrixError::invalid_param("limit must be greater than zero"));
    }
    let (session, from) = (request.session()?, request.query("from").map(str::to_owned));
    let ask = ListNotifications { session, from, limit, highlights };
    Ok(Answer::raw(&ask_user(edge, &request.caller()?.user_id, ask).await?))
}

/// `GET /pushers`
async fn list_pushers(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let ask = ListPushers { session: request.session()? };
    Ok(Answer::raw(&ask_user(edge, &request.caller()?.user_id, ask).await?))
}

/// `POST /pushers/set`
async fn set_pusher(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let body: RawJson = request.object()?;
    pushers::set(edge, &request.caller()?.user_id, request.session()?, &body).await?;
    Ok(Answer::empty())
}

/// `GET /pushrules/`
async fn read_all(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, View::All).await
}

/// `GET /pushrules/global/`
async fn read_global(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, View::Global).await
}

/// `GET /pushrules/global/{kind}/`
async fn read_kind(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, View::Kind(request.param("kind"))).await
}

/// `GET /pushrules/global/{kind}/{ruleId}`
async fn read_rule(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, View::Rule(request.param("kind"), request.param("ruleId"))).await
}

/// `GET /pushrules/global/{kind}/{ruleId}/enabled`
async fn read_enabled(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, View::Enabled(request.param("kind"), request.param("ruleId"))).await
}

/// `GET /pushrules/global/{kind}/{ruleId}/actions`
async fn read_actions(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    read(edge, request, View::Actions(request.param("kind"), request.param("ruleId"))).await
}

/// `PUT /pushrules/global/{kind}/{ruleId}`
async fn put_rule(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    let put = PushRuleChange::Put {
        rule: request.object()?,
        before: request.query("before").map(str::to_owned),
        after: request.query("after").map(str::to_owned),
    };
    change(edge, request, put).await
}

/// `DELETE /pushrules/global/{kind}/{ruleId}`
async fn delete_rule(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    change(edge, request, PushRuleChange::Delete).await
}

/// `PUT /pushrules/global/{kind}/{ruleId}/enabled`
async fn put_enabled(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        enabled: bool,
    }
    let body: Body = request.json()?;
    change(edge, request, PushRuleChange::Enable(body.enabled)).await
}

/// `PUT /pushrules/global/{kind}/{ruleId}/actions`
async fn put_actions(edge: &Edge, request: &Incoming) -> Result<Answer, MatrixError> {
    #[derive(Deserialize)]
    struct Body {
        actions: RawJson,
    }
    let body: Body = request.json()?;
    change(edge, request, PushRuleChange::Actions(body.actions)).await
}

async fn read(edge: &Edge, request: &Incoming, view: View<'_>) -> Result<Answer, MatrixError> {
    let user_id = &request.caller()?.user_id;
    Ok(Answer::raw(&push::read(edge, user_id, request.session()?, view).await?))
}

async fn change(edge: &Edge, request: &Incoming, change: PushRuleChange) -> Result<Answer, MatrixError> {
    let change = ChangePushRule {
        session: request.session()?,
        kind: request.param("kind").to_owned(),
        rule_id: request.param("ruleId").to_owned(),
        change,
    };
    ask_user(edge, &request.caller()?.user_id, change).await?;
    Ok(Answer::empty())
}
