//! What questions about rooms become in SQL: the rows of `span!` and patterns of state.

use serde::Serialize;

/// An ask as `span!` reads it.
#[derive(Serialize)]
pub(crate) struct AskRow<'a>(
    pub(crate) &'a str,
    pub(crate) &'a str,
    pub(crate) u64,
    pub(crate) Option<u64>,
    pub(crate) u64,
    pub(crate) bool,
    pub(crate) usize,
    pub(crate) bool,
    pub(crate) bool,
);

/// A type and a state key, either of which may be left open (JSON `null`), and whether it does not matter since when.
#[derive(Serialize)]
pub(crate) struct Pattern(pub(crate) Option<String>, pub(crate) Option<String>, pub(crate) bool);

impl Pattern {
    /// Reads `*` as left open, as sliding sync's `required_state` does.
    pub(crate) fn with_wildcards(kind: &str, state_key: &str) -> Self {
        let open = |part: &str| (part != "*").then(|| part.to_owned());
        Self(open(kind), open(state_key), false)
    }

    /// A user's member event, however old it is.
    pub(crate) fn member(user_id: &str) -> Self {
        Self(Some("m.room.member".to_owned()), Some(user_id.to_owned()), true)
    }
}
