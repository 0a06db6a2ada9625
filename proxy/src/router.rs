//! From a request to its answer: finds the route, establishes the caller, reads the body, runs the handler.

use futures::StreamExt;
use matchit::InsertError;
use ruma::OwnedServerName;
use tern_edge::federation::sender::{self, Received};
use tern_model::MatrixError;
use tern_ports::{Clock, wire::policy::Standing};
use worker::{Method, Request};

use crate::{
    edge::Edge,
    identity::{self, Auth},
    limits, pages,
    query::parse_query,
    request::{Incoming, MAX_BODY, MAX_TRANSACTION},
    respond::Answer,
    route::{Intake, Route},
    route_table::{Found, Params, RouteTable},
    routes,
};

/// Answers a request; what is below `/oauth2/` answers errors, too, in the shape of its protocol.
pub(crate) async fn serve(edge: &Edge, request: Request) -> Result<Answer, MatrixError> {
    let url = request.inner().url();
    let (path, query) = split(&url);
    match run(edge, request, path, query).await {
        Err(error) if path.starts_with("/oauth2/") => Ok(Answer::oauth(&error)),
        answered => answered,
    }
}

/// Finds the route, establishes the caller, reads the body and runs the handler.
async fn run(edge: &Edge, mut request: Request, path: &str, query: &str) -> Result<Answer, MatrixError> {
    let Some((route, params)) = find(&request.method(), path)? else {
        return Ok(Answer::preflight());
    };
    edge.trace.route.set(route.path);
    let ip = request.headers().get("cf-connecting-ip").ok().flatten();
    let began = edge.now();
    let established = identity::establish(edge, route.auth, request.headers(), query).await;
    edge.trace.auth_ms.set(edge.now().since(began));
    if let Err(error) = &established {
        limits::admit_refused(edge, error, ip.as_deref())?;
    }
    let identity = match established {
        // RFC 6750, 3
        Err(error) if error.status == 401 && route.auth == Auth::AnyToken => {
            let how = if error.errcode == "M_MISSING_TOKEN" { "Bearer" } else { "Bearer error=\"invalid_token\"" };
            return Ok(Answer::challenge(&error, how));
        }
        established => established?,
    };
    limits::admit(edge, route.auth, route.class, identity.as_ref(), ip.as_deref())?;
    // What is closed to a suspended user is told by the commands that a handler sends.
    edge.wire.stand(identity.as_ref().map_or(Standing::Nobody, |identity| identity.standing));
    let body = match route.intake {
        Intake::Whole => read_body(&mut request, MAX_BODY).await?,
        Intake::Large => read_body(&mut request, MAX_TRANSACTION).await?,
        Intake::Streamed => Vec::new(),
    };
    let address = if query.is_empty() { path.to_owned() } else { format!("{path}?{query}") };
    let origin = match route.auth {
        Auth::Federation => Some(origin(edge, &request, &address, &body, ip.as_deref()).await?),
        _ => None,
    };
    let incoming = Incoming {
        params,
        query: parse_query(query),
        identity,
        origin,
        body,
        stream: if route.intake == Intake::Streamed { request.inner().body() } else { None },
        headers: request.headers().clone(),
        ip,
        address,
    };
    (route.handler)(edge, &incoming).await
}

/// The server that has signed a request.
async fn origin(
    edge: &Edge,
    request: &Request,
    address: &str,
    body: &[u8],
    ip: Option<&str>,
) -> Result<OwnedServerName, MatrixError> {
    let (method, began) = (request.method().to_string(), edge.now());
    let authorization = request.headers().get("authorization").ok().flatten();
    let authorization = authorization.as_deref();
    let received = Received { method: &method, target: address, authorization, body };
    let stranger = || limits::admit_stranger(edge, ip);
    let verified = sender::verify(edge, &edge.config, &edge.server_keys, received, stranger).await;
    edge.trace.auth_ms.set(edge.now().since(began));
    if let Err(error) = &verified {
        limits::admit_refused(edge, error, ip)?;
    }
    let server = verified?.to_string();
    let server = OwnedServerName::try_from(server).map_err(|_| MatrixError::internal())?;
    limits::admit_server(edge, &server)?;
    if server != edge.config.server_name {
        edge.awake.note(edge, &server, edge.now()).await;
    }
    Ok(server)
}

thread_local! {
    /// Built once per isolate.
    static TABLE: Result<RouteTable, InsertError> =
        RouteTable::of(routes::ALL.iter().chain(pages::ALL).copied().flatten());
}

/// The route for a method and path; no route but no error either for a preflight. A path of older versions of the
/// specification is tried where it leads to today.
fn find(method: &Method, path: &str) -> Result<Option<(&'static Route, Params)>, MatrixError> {
    let today = today(path);
    let mut known = false;
    for path in [Some(path), today.as_deref()].into_iter().flatten() {
        match TABLE
            .with(|table| table.as_ref().map(|table| table.find(method, path)).map_err(|_| MatrixError::internal()))?
        {
            Found::Route(route, params) => return Ok(Some((route, params))),
            Found::OtherMethods => known = true,
            Found::Nothing => {}
        }
    }
    match (known, method) {
        (_, Method::Options) => Ok(None),
        (true, _) => Err(MatrixError::wrong_method()),
        (false, _) => Err(MatrixError::unrecognized()),
    }
}

/// Where a path of the specification before v1.1 leads to: its endpoints went into `v3` as they were, so all of `v3` can be
/// asked by the older name, and clients that know no other can sign in.
fn today(path: &str) -> Option<String> {
    const LED: [(&str, &str); 3] = [
        ("/_matrix/client/r0/", "/_matrix/client/v3/"),
        ("/_matrix/media/r0/", "/_matrix/media/v3/"),
        ("/_matrix/media/v1/", "/_matrix/media/v3/"),
    ];
    LED.iter().find_map(|(from, to)| path.strip_prefix(from).map(|rest| format!("{to}{rest}")))
}

/// Path and query of a URL, without parsing the rest of it.
fn split(url: &str) -> (&str, &str) {
    let after_scheme = url.split_once("://").map_or(url, |(_, rest)| rest);
    let path = after_scheme.find('/').and_then(|at| after_scheme.get(at..)).unwrap_or("/");
    let path = path.split_once('#').map_or(path, |(path, _)| path);
    path.split_once('?').unwrap_or((path, ""))
}

/// The body, unless it is longer than `most` bytes.
async fn read_body(request: &mut Request, most: usize) -> Result<Vec<u8>, MatrixError> {
    if matches!(request.method(), Method::Get | Method::Head) {
        return Ok(Vec::new());
    }
    let declared = request.headers().get("content-length").ok().flatten();
    match declared.and_then(|text| text.parse::<usize>().ok()) {
        Some(length) if length <= most => request.bytes().await.map_err(|_| MatrixError::not_json()),
        _ => read_bounded(request, most).await,
    }
}

/// Reads to the end, whatever comes, so that a client who is still writing gets to see the answer; keeps no more than
/// `most` bytes.
async fn read_bounded(request: &mut Request, most: usize) -> Result<Vec<u8>, MatrixError> {
    // A request without a body has no stream.
    let Ok(mut chunks) = request.stream() else { return Ok(Vec::new()) };
    let mut body = Vec::new();
    let mut length = 0_usize;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| MatrixError::not_json())?;
        length = length.saturating_add(chunk.len());
        if length <= most {
            body.extend(chunk);
        }
    }
    if length <= most {
        return Ok(body);
    }
    Err(MatrixError::too_large(format!("The body is larger than {} MiB", most >> 20)))
}

#[cfg(test)]
mod tests {
    use worker::Method;

    use super::{find, split, today};

    #[test]
    fn an_address_without_an_id_is_nobodys() {
        for (method, path, status) in [
            // It would sign out all devices of the user.
            (Method::Delete, "/_tern/admin/v1/users/@a:b/sessions/", 404),
            (Method::Get, "/_tern/admin/v1/users//sessions", 404),
            (Method::Get, "/_matrix/client/v3/rooms//messages", 404),
            (Method::Delete, "/_matrix/client/v3/pushrules/global/override/", 405),
            (Method::Patch, "/_matrix/client/v3/sync", 405),
        ] {
            assert_eq!(find(&method, path).err().map(|error| error.status), Some(status), "{path}");
        }
    }

    #[test]
    fn an_empty_state_key_may_end_in_a_slash() {
        for path in ["/_matrix/client/v3/rooms/!a/state/m.room.name", "/_matrix/client/r0/rooms/!a/state/m.room.name/"]
        {
            for method in [Method::Get, Method::Head, Method::Put] {
                assert!(find(&method, path).is_ok_and(|found| found.is_some()), "{path}");
            }
        }
    }

    #[test]
    fn older_paths_lead_to_those_of_today() {
        for (path, leads) in [
            ("/_matrix/client/r0/login", Some("/_matrix/client/v3/login")),
            ("/_matrix/media/r0/download/a/b", Some("/_matrix/media/v3/download/a/b")),
            ("/_matrix/media/v1/upload", Some("/_matrix/media/v3/upload")),
            ("/_matrix/client/r0", None),
            ("/_matrix/client/v3/login", None),
            ("/_matrix/client/unstable/r0/x", None),
        ] {
            assert_eq!(today(path).as_deref(), leads, "{path}");
        }
    }

    #[test]
    fn a_url_splits_into_path_and_query() {
        assert_eq!(split("http://h:1/a/b?c=d#e"), ("/a/b", "c=d"));
        assert_eq!(split("http://h"), ("/", ""));
    }
}
