//! Finding the route of a method and a path.

use std::collections::BTreeMap;

use matchit::{InsertError, Params as Matched};
use percent_encoding::percent_decode_str;
use worker::Method;

use crate::route::Route;

/// Path parameters by the name in the route's template, percent-decoded.
pub(crate) type Params = Vec<(&'static str, String)>;

/// Routes by their paths. A parameter is one whole segment, never an empty one: a path without an id is not that of all ids.
pub(crate) struct RouteTable(matchit::Router<Vec<&'static Route>>);

/// What there is under a path.
pub(crate) enum Found {
    /// The route.
    Route(&'static Route, Params),
    /// Routes of other methods.
    OtherMethods,
    /// Nothing.
    Nothing,
}

impl RouteTable {
    /// The table of these routes.
    ///
    /// # Errors
    /// When a path is no template, or cannot be told from another.
    pub(crate) fn of(routes: impl Iterator<Item = &'static Route>) -> Result<Self, InsertError> {
        let mut by_path: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for route in routes {
            by_path.entry(route.path).or_default().push(route);
        }
        let mut table = matchit::Router::new();
        for (path, routes) in by_path {
            table.insert(path, routes)?;
        }
        Ok(Self(table))
    }

    /// The route of this method and path. `HEAD` is `GET` where it has no route of its own.
    pub(crate) fn find(&self, method: &Method, path: &str) -> Found {
        let Ok(matched) = self.0.at(path) else { return Found::Nothing };
        let of = |method: &Method| matched.value.iter().copied().find(|route| route.method == *method);
        let found = of(method).or_else(|| of(&Method::Get).filter(|_| *method == Method::Head));
        let Some(route) = found else { return Found::OtherMethods };
        decoded(route, &matched.params).map_or(Found::Nothing, |params| Found::Route(route, params))
    }
}

/// The parameters; none when one of them is not UTF-8.
fn decoded(route: &Route, matched: &Matched<'_, '_>) -> Option<Params> {
    let segments = route.path.split('/');
    let names = segments.filter_map(|segment| segment.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')));
    let values = matched.iter().map(|(_, value)| percent_decode_str(value).decode_utf8());
    names.zip(values).map(|(name, value)| Some((name, value.ok()?.into_owned()))).collect()
}

#[cfg(test)]
mod tests {
    use tern_model::MatrixError;
    use worker::Method;

    use super::{Found, Params, RouteTable};
    use crate::{
        edge::Edge,
        request::Incoming,
        respond::Answer,
        route::{Route, routes},
    };

    static ROUTES: &[Route] = routes! {
        Open Get "/rooms/{roomId}/state/{type}" => nothing;
        Open Get "/rooms/{roomId}/state/{type}/" => nothing;
        Open Get "/rooms/{roomId}/state/{type}/{key}" => nothing;
        Open Delete "/users/{userId}/sessions" => nothing;
        Open Delete "/users/{userId}/sessions/{deviceId}" => nothing;
        Open Put "/users/{name}" => nothing;
    };

    async fn nothing(_: &Edge, _: &Incoming) -> Result<Answer, MatrixError> {
        Ok(Answer::empty())
    }

    fn find(method: &Method, path: &str) -> Result<(&'static str, Params), bool> {
        match RouteTable::of(ROUTES.iter()).map(|table| table.find(method, path)) {
            Ok(Found::Route(route, params)) => Ok((route.path, params)),
            Ok(Found::OtherMethods) => Err(true),
            Ok(Found::Nothing) | Err(_) => Err(false),
        }
    }

    #[test]
    fn a_path_matches_whole_segments_which_are_decoded() {
        let (path, params) = find(&Method::Get, "/rooms/%21a%3Ab/state/m.room.name/%2F").unwrap_or_default();
        assert_eq!(path, "/rooms/{roomId}/state/{type}/{key}");
        let expected = [("roomId", "!a:b"), ("type", "m.room.name"), ("key", "/")];
        assert_eq!(params, expected.map(|(key, value)| (key, value.to_owned())));
        assert_eq!(find(&Method::Put, "/users/@a").map(|(_, params)| params), Ok(vec![("name", "@a".to_owned())]));
        for path in ["/rooms/%ff/state/x", "/rooms/!a/states/x", "/rooms/!a/state/x/y/z", "/users/@a/"] {
            assert_eq!(find(&Method::Get, path), Err(false), "{path}");
        }
    }

    #[test]
    fn a_parameter_is_never_empty() {
        for path in ["/users//sessions", "/users/@a/sessions/", "/users//sessions/"] {
            assert_eq!(find(&Method::Delete, path), Err(false), "{path}");
        }
        let template = |path| find(&Method::Get, path).map(|(path, _)| path);
        assert_eq!(template("/rooms/!a/state/x/"), Ok("/rooms/{roomId}/state/{type}/"));
        assert_eq!(template("/rooms//state/x/"), Err(false));
    }

    #[test]
    fn another_method_is_told_from_another_path() {
        assert_eq!(find(&Method::Post, "/users/@a/sessions"), Err(true));
        assert_eq!(find(&Method::Head, "/users/@a/sessions"), Err(true));
        assert!(find(&Method::Head, "/rooms/!a/state/x").is_ok());
    }
}
