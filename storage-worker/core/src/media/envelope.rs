//! Content on its way between homeservers, in an envelope that says what it is.

use std::{collections::VecDeque, pin::Pin};

use futures::{Stream, StreamExt, stream};
use tern_media::multipart::{Boundary, Described, Event, Reader, closing, opening};
use tern_model::MatrixError;
use tern_ports::wire::media::{Fetched, StoreMedia};

use super::BodyError;

/// What is in an envelope.
pub(super) enum Opened<'a> {
    /// Content, and what it is.
    Content(Described, Pin<Box<dyn Stream<Item = Result<Vec<u8>, BodyError>> + 'a>>),
    /// Only the address of the content.
    Elsewhere(String),
}

struct Envelope<S> {
    reader: Reader,
    body: S,
    events: VecDeque<Event>,
}

impl<S: Stream<Item = Result<Vec<u8>, BodyError>> + Unpin> Envelope<S> {
    async fn next(&mut self) -> Result<Event, BodyError> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Ok(event);
            }
            let piece = self.body.next().await.ok_or(BodyError::BrokeOff)??;
            self.events.extend(self.reader.push(&piece).map_err(|_| BodyError::NoEnvelope)?);
        }
    }
}

/// Opens an envelope with this `Content-Type`. The content is read as it is asked for.
pub(super) async fn open<'a>(
    content_type: &str,
    body: impl Stream<Item = Result<Vec<u8>, BodyError>> + Unpin + 'a,
) -> Result<Opened<'a>, BodyError> {
    let reader = Reader::of(content_type).map_err(|_| BodyError::NoEnvelope)?;
    let mut envelope = Envelope { reader, body, events: VecDeque::new() };
    match envelope.next().await? {
        Event::Content(described) => {
            Ok(Opened::Content(described, Box::pin(stream::unfold(Some(envelope), read).fuse())))
        }
        Event::Elsewhere(url) => Ok(Opened::Elsewhere(url)),
        Event::Bytes(_) | Event::End => Err(BodyError::NoEnvelope),
    }
}

async fn read<S: Stream<Item = Result<Vec<u8>, BodyError>> + Unpin>(
    envelope: Option<Envelope<S>>,
) -> Option<(Result<Vec<u8>, BodyError>, Option<Envelope<S>>)> {
    let mut envelope = envelope?;
    match envelope.next().await {
        Ok(Event::Bytes(bytes)) => Some((Ok(bytes), Some(envelope))),
        Ok(_) => None,
        Err(error) => Some((Err(error), None)),
    }
}

/// The same question about what the envelope says.
pub(super) fn described(ask: &StoreMedia, Described { content_type, name }: Described) -> StoreMedia {
    let name = name.map(|name| name.as_str().to_owned());
    StoreMedia { content_type, name, envelope: None, ..ask.clone() }
}

/// What stands before and after content that goes out in an envelope.
pub(super) fn around(boundary: &str, known: &Fetched) -> Result<(Vec<u8>, Vec<u8>), MatrixError> {
    let boundary = Boundary::parse(boundary)?;
    let name = known.name.as_deref().and_then(tern_media::FileName::clean);
    let described = Described { content_type: known.content_type.clone(), name };
    Ok((opening(&boundary, &described).into_bytes(), closing(&boundary).into_bytes()))
}
