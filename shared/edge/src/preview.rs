//! What stands behind an address, for whoever sees it in a message (Client-Server API, `GET /media/preview_url`).
//!
//! The address is anybody's, and so is what answers there. `tern_ports::outbound` looks at every address on the way; what comes
//! back is cut, read by `tern_media::preview` and kept for others who see the same message.

use std::{future::Future, pin::pin};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use futures::future::{Either, select};
use ruma::ServerName;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tern_media::{
    MediaId,
    preview::{Head, Picture, Preview, charset, picture},
    serve,
};
use tern_model::{MatrixError, RawJson};
use tern_ports::{
    Cache, Charsets, Clock, ContentTransport, Entropy, Outbound,
    outbound::{self, Bounds, HttpAnswer, HttpError, HttpRequest, address},
    wire::media::{MediaRef, StoreMedia},
};
use url::Url;

/// Longest address, in bytes.
const MAX_URL: usize = 2_000;

/// What is read of a page. Beyond that nobody writes a head.
const PAGE: Bounds = Bounds { timeout_ms: 8_000, max_bytes: 1 << 20, cut: true, redirects: 4, plain: true };

/// What is taken for a picture. It is in memory for a moment.
const PICTURE: Bounds = Bounds { max_bytes: 4 << 20, cut: false, ..PAGE };

/// How long a preview is kept, in seconds: well below the time for which its picture is.
const KEPT_S: u64 = 24 * 60 * 60;

/// How long it is remembered that there is none.
const FAILED_S: u64 = 10 * 60;

/// What a preview needs.
pub trait Web: Cache + Charsets + Clock + ContentTransport + Entropy + Outbound {}
impl<T: Cache + Charsets + Clock + ContentTransport + Entropy + Outbound> Web for T {}

/// What is kept.
#[derive(Debug, Serialize, Deserialize)]
enum Kept {
    Found(Preview),
    Failed(MatrixError),
}

/// The preview of `url`. A page that was not looked at lately costs a read and a write of the cache, the page, and for its
/// picture another page and the storing of a short file.
///
/// # Errors
/// 400 `M_INVALID_PARAM` for what is no address, 403 `M_FORBIDDEN` for one that is not asked, 502 and 504 `M_UNKNOWN` when
/// there is no answer to be had before `deadline` ends.
pub async fn preview(
    web: &impl Web,
    server_name: &ServerName,
    url: &str,
    deadline: impl Future<Output = ()>,
) -> Result<RawJson, MatrixError> {
    let url = parse(url)?;
    address::check(&url, web.reach(), PAGE.plain).map_err(HttpError::Refused)?;
    let key = key(&url);
    let kept = web.recall(&key).await.and_then(|text| serde_json::from_str(&text).ok());
    if let Some(kept) = kept {
        return answer(kept);
    }
    let found = match select(pin!(look(web, server_name, url)), pin!(deadline)).await {
        Either::Left((found, _)) => found,
        Either::Right(_) => Err(HttpError::Late.into()),
    };
    let (kept, seconds) = match &found {
        Ok(preview) => (Kept::Found(preview.clone()), KEPT_S),
        Err(error) => (Kept::Failed(error.clone()), FAILED_S),
    };
    if let Ok(text) = serde_json::to_string(&kept) {
        web.remember(&key, text, seconds).await;
    }
    answer(Kept::Found(found?))
}

fn parse(url: &str) -> Result<Url, MatrixError> {
    let malformed = || MatrixError::invalid_param("url is not an address");
    let mut url =
        Some(url).filter(|url| url.len() <= MAX_URL).and_then(|url| Url::parse(url).ok()).ok_or_else(malformed)?;
    url.set_fragment(None);
    Ok(url)
}

/// Of every preview as this version makes them.
fn key(url: &Url) -> String {
    format!("preview/1/{}", URL_SAFE_NO_PAD.encode(Sha256::digest(url.as_str())))
}

fn answer(kept: Kept) -> Result<RawJson, MatrixError> {
    match kept {
        Kept::Found(preview) => RawJson::from_value(&preview).map_err(|_| MatrixError::internal()),
        Kept::Failed(error) => Err(error),
    }
}

fn no_page() -> MatrixError {
    MatrixError::new(502, "M_UNKNOWN", "There is no page to be seen at this address")
}

async fn look(web: &impl Web, server_name: &ServerName, url: Url) -> Result<Preview, MatrixError> {
    let request = HttpRequest::get(url).with_header("accept", "text/html,application/xhtml+xml;q=0.9,image/*;q=0.8");
    let page = fetched(web, request, PAGE).await?;
    let content_type = page.header("content-type").unwrap_or_default().to_owned();
    match serve::essence(&content_type).to_ascii_lowercase().as_str() {
        "text/html" | "application/xhtml+xml" => Ok(read(web, server_name, &page, &content_type).await),
        kind if kind.starts_with("image/") => {
            let picture = if page.is_cut {
                show(web, server_name, page.url).await
            } else {
                keep(web, server_name, page.body).await
            };
            Ok(Preview { picture, ..Preview::default() })
        }
        _ => Ok(Preview::default()),
    }
}

/// A page, which comes with a picture if that can be had.
async fn read(web: &impl Web, server_name: &ServerName, page: &HttpAnswer, content_type: &str) -> Preview {
    let label = charset::label(content_type, &page.body);
    let text = web.decode(&label, &page.body).or_else(|| web.decode("utf-8", &page.body)).unwrap_or_default();
    let head = Head::read(text.as_bytes());
    let mut preview = Preview::of(&head, &page.url);
    if let Some((url, alt)) = picture(&head, &page.url) {
        preview.picture = show(web, server_name, url).await.map(|picture| Picture { alt, ..picture });
    }
    preview
}

/// The picture at an address, if there is one.
async fn show(web: &impl Web, server_name: &ServerName, url: Url) -> Option<Picture> {
    let request = HttpRequest::get(url).with_header("accept", "image/webp,image/png,image/jpeg,image/gif");
    let picture = fetched(web, request, PICTURE).await.ok()?;
    keep(web, server_name, picture.body).await
}

/// Stores a picture as what it is, whatever it was said to be. What is none is left out.
async fn keep(web: &impl Web, server_name: &ServerName, content: Vec<u8>) -> Option<Picture> {
    let mut bytes = [0; MediaId::RANDOM_BYTES];
    web.fill(&mut bytes);
    let media = MediaRef { origin: server_name.to_owned(), media_id: MediaId::random(bytes).as_str().to_owned() };
    let uri = format!("mxc://{}/{}", media.origin, media.media_id);
    let ask = StoreMedia {
        media,
        user_id: None,
        reserved: false,
        content_type: serve::UNKNOWN_TYPE.to_owned(),
        name: None,
        picture: true,
        envelope: None,
        max_length: u64::try_from(PICTURE.max_bytes).unwrap_or(u64::MAX),
        quota: None,
        ts: web.now(),
    };
    let stored = web.store_content(ask, content).await.ok()?;
    let facts = stored.picture?;
    let (content_type, width, height) = (facts.content_type, facts.width, facts.height);
    Some(Picture { uri, content_type, width, height, size: stored.size, alt: None })
}

/// A page that is there.
async fn fetched(web: &impl Web, request: HttpRequest, bounds: Bounds) -> Result<HttpAnswer, MatrixError> {
    let answer = outbound::fetch(web, request, bounds).await?;
    if (200..300).contains(&answer.status) { Ok(answer) } else { Err(no_page()) }
}
