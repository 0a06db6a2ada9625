//! Bringing.

use tern_media::{Conditions, Part, range};
use tern_model::MatrixError;
use tern_ports::wire::media::{FetchMedia, Fetched, Follows};

use super::{MediaStore, Objects, envelope};
use crate::{
    commands::media::{Found, find},
    sql::Databases,
};

impl<D: Databases, O: Objects> MediaStore<'_, D, O> {
    /// What is known of some content, and its bytes when they were asked for and there are any to send. One batch, at most
    /// one read of the bucket.
    ///
    /// # Errors
    /// As [`FetchMedia`] says; 503 when the database or the bucket fails.
    pub async fn fetch(&self, ask: &FetchMedia) -> Result<(Fetched, Option<O::Body>), MatrixError> {
        let found = find(&self.databases, ask).await?;
        self.content(ask, found).await
    }

    /// The same for what has been found.
    pub(super) async fn content(
        &self,
        ask: &FetchMedia,
        found: Found,
    ) -> Result<(Fetched, Option<O::Body>), MatrixError> {
        let tag = range::entity_tag(&found.sha256);
        let follows = follows(ask, &tag, found.size);
        let body = match follows {
            Follows::Whole | Follows::Span(..) if ask.body => {
                let span = if let Follows::Span(first, last) = follows { Some((first, last)) } else { None };
                let opened = self.objects.open(&found.object, span).await?.ok_or_else(MatrixError::unavailable)?;
                Some(opened.body)
            }
            _ => None,
        };
        let known = Fetched { content_type: found.content_type, name: found.name, size: found.size, tag, follows };
        self.sent(ask, known, body)
    }

    /// As it is sent: as it is, or in an envelope.
    pub(super) fn sent(
        &self,
        ask: &FetchMedia,
        known: Fetched,
        body: Option<O::Body>,
    ) -> Result<(Fetched, Option<O::Body>), MatrixError> {
        let Some(boundary) = &ask.envelope else { return Ok((known, body)) };
        let (before, after) = envelope::around(boundary, &known)?;
        let body = body.map(|content| self.objects.wrap(before, content, after)).transpose()?;
        Ok((known, body))
    }
}

fn follows(ask: &FetchMedia, tag: &str, size: u64) -> Follows {
    match range::select(conditions(ask), tag, size) {
        Part::Whole => Follows::Whole,
        Part::Span { first, last } => Follows::Span(first, last),
        Part::Unchanged => Follows::Unchanged,
        Part::Unsatisfiable => Follows::Unsatisfiable,
    }
}

/// The headers of the request. An envelope carries everything.
pub(super) fn conditions(ask: &FetchMedia) -> Conditions<'_> {
    if ask.envelope.is_some() {
        return Conditions::default();
    }
    Conditions {
        range: ask.range.as_deref(),
        if_range: ask.if_range.as_deref(),
        if_none_match: ask.if_none_match.as_deref(),
    }
}
