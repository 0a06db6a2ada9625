//! Content in and out: the frame travels in a header, the content is the body.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::StreamExt;
use serde::Serialize;
use tern_model::{MatrixError, Millis};
use tern_ports::wire::{
    MediaCommand, frame,
    media::{Fetched, REPLY_HEADER},
};
use tern_storage::{
    MediaStore,
    media::{BodyError, Workbench},
};
use worker::{ByteStream, Env, Request, Response, ResponseBody, ResponseBuilder, Result};

use crate::{d1::Bindings, r2::Media};

/// How long content of other servers is kept, in days, unless `MEDIA_REMOTE_DAYS` says otherwise.
const CACHED_DAYS: u64 = 30;
const DAY_MS: u64 = 24 * 60 * 60 * 1000;

thread_local! {
    /// The pictures that this isolate is working on.
    static WORKBENCH: &'static Workbench = Box::leak(Box::default());
}

/// Answers one command.
pub(crate) async fn answer(request: &Request, command: &str, env: Env) -> Result<Response> {
    let bytes = URL_SAFE_NO_PAD.decode(command).unwrap_or_default();
    match frame::read::<MediaCommand>(&bytes) {
        Ok(MediaCommand::StoreMedia(ask)) => {
            let stored = store(env)?.store(&ask, &object_key(), body(request)).await;
            reply(&stored, ResponseBody::Empty)
        }
        Ok(MediaCommand::FetchMedia(ask)) => content(store(env)?.fetch(&ask).await),
        Ok(MediaCommand::FetchThumbnail(ask)) => content(store(env)?.thumbnail(&ask).await),
        Ok(MediaCommand::PassObject(ask)) => match store(env)?.pass(&ask, body(request)).await {
            Ok((stored, content)) => reply(&Ok(stored), content.unwrap_or(ResponseBody::Empty)),
            Err(error) => reply::<()>(&Err(error), ResponseBody::Empty),
        },
        Err(error) => reply::<()>(&Err(MatrixError::new(400, "M_UNKNOWN", error.to_string())), ResponseBody::Empty),
    }
}

/// Deletes what is due.
pub(crate) async fn sweep(env: Env) -> Result<()> {
    let now = worker::Date::now().as_millis();
    let days = env.var("MEDIA_REMOTE_DAYS").ok().and_then(|days| days.to_string().parse().ok()).unwrap_or(CACHED_DAYS);
    let kept_since = now.saturating_sub(days.max(1).saturating_mul(DAY_MS));
    let swept = store(env)?.sweep(Millis(now), Millis(kept_since)).await;
    swept.map(|_| ()).map_err(|error| worker::Error::RustError(error.to_string()))
}

fn store(env: Env) -> Result<MediaStore<'static, Bindings, Media>> {
    let media = Media(env.bucket("MEDIA")?);
    Ok(MediaStore { databases: Bindings(env), objects: media, workbench: WORKBENCH.with(|bench| *bench) })
}

/// A key that nobody used before.
fn object_key() -> String {
    let mut bytes = [0_u8; 18];
    #[expect(clippy::disallowed_methods, reason = "only a platform shell may ask for randomness")]
    if getrandom::fill(&mut bytes).is_err() {
        // Never go on with predictable bytes: another object could be overwritten.
        std::process::abort();
    }
    URL_SAFE_NO_PAD.encode(bytes)
}

type Chunks = futures::stream::LocalBoxStream<'static, std::result::Result<Vec<u8>, BodyError>>;

/// The body of a request; one without any has no stream.
fn body(request: &Request) -> Chunks {
    match request.inner().body() {
        Some(stream) => ByteStream::from(stream).map(|chunk| chunk.map_err(|_| BodyError::BrokeOff)).boxed_local(),
        None => futures::stream::empty().boxed_local(),
    }
}

fn content(result: std::result::Result<(Fetched, Option<ResponseBody>), MatrixError>) -> Result<Response> {
    match result {
        Ok((known, content)) => reply(&Ok(known), content.unwrap_or(ResponseBody::Empty)),
        Err(error) => reply::<Fetched>(&Err(error), ResponseBody::Empty),
    }
}

fn reply<T: Serialize>(result: &std::result::Result<T, MatrixError>, body: ResponseBody) -> Result<Response> {
    let frame = URL_SAFE_NO_PAD.encode(frame::write_reply(result));
    Ok(ResponseBuilder::new().with_header(REPLY_HEADER, &frame)?.body(body))
}
