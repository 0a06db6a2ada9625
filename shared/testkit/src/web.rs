//! Servers that are not ours, and what stands between them and a flow: the cache, the platform's encodings, the shelf for
//! content.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use futures::stream;
use tern_model::{MatrixError, Millis};
use tern_ports::{
    Cache, Charsets, Clock, ContentTransport, Entropy, Outbound,
    outbound::{Bounds, HttpAnswer, HttpError, HttpRequest, Reach},
    wire::media::{StoreMedia, Stored},
};
use tern_storage::{MediaStore, media::Workbench};
use url::Url;

use crate::{D1, SeededEntropy, TestClock, bucket::Bucket, executor::yield_once};

/// A page of somebody else's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: Vec<(&'static str, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Page {
    /// 200 with a body of this type.
    pub fn of(content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status: 200, headers: vec![("content-type", content_type.to_owned())], body: body.into() }
    }

    /// 302 to there.
    pub fn redirect(to: &str) -> Self {
        Self { status: 302, headers: vec![("location", to.to_owned())], body: Vec::new() }
    }
}

/// The web as a flow sees it, with everything else that a flow about it needs.
#[derive(Default)]
pub struct TestWeb {
    /// What is there; anything else cannot be reached.
    pub pages: RefCell<BTreeMap<&'static str, Page>>,
    /// What was asked for, in order.
    pub asked: RefCell<Vec<HttpRequest>>,
    /// What is kept, with the seconds it is kept for.
    pub cache: RefCell<BTreeMap<String, (String, u64)>>,
    /// Reads and writes of the cache so far, also in vain.
    pub cached: Cell<(u64, u64)>,
    /// Messages to the storage worker so far.
    pub stored: Cell<u64>,
    /// The storage worker's databases.
    pub d1: D1,
    /// Its bucket.
    pub bucket: Bucket,
    /// The time.
    pub clock: TestClock,
    workbench: Workbench,
    entropy: Option<SeededEntropy>,
}

impl TestWeb {
    /// A web of these pages, all at addresses of the public Internet or refused.
    pub fn of(pages: impl IntoIterator<Item = (&'static str, Page)>) -> Self {
        let pages = RefCell::new(pages.into_iter().collect());
        Self { pages, entropy: Some(SeededEntropy::new(3)), ..Self::default() }
    }

    /// The storage worker as far as content is concerned.
    pub fn media(&self) -> MediaStore<'_, &D1, &Bucket> {
        MediaStore { databases: &self.d1, objects: &self.bucket, workbench: &self.workbench }
    }

    /// The addresses that were asked for, in order.
    pub fn addresses(&self) -> Vec<String> {
        self.asked.borrow().iter().map(|request| request.url.to_string()).collect()
    }
}

impl Outbound for TestWeb {
    fn reach(&self) -> Reach {
        Reach::Public
    }

    async fn exchange(&self, request: &HttpRequest, bounds: &Bounds) -> Result<HttpAnswer, HttpError> {
        yield_once().await;
        self.asked.borrow_mut().push(request.clone());
        let page = self.pages.borrow().get(request.url.as_str()).cloned();
        let Page { status, headers, mut body } =
            page.ok_or_else(|| HttpError::Unreachable("no such host".to_owned()))?;
        let is_cut = body.len() > bounds.max_bytes;
        if is_cut && !bounds.cut {
            return Err(HttpError::TooLarge);
        }
        body.truncate(bounds.max_bytes);
        let url: Url = request.url.clone();
        let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
        Ok(HttpAnswer { url, status, headers, body, is_cut })
    }
}

impl Cache for TestWeb {
    async fn recall(&self, key: &str) -> Option<String> {
        yield_once().await;
        let (reads, writes) = self.cached.get();
        self.cached.set((reads + 1, writes));
        self.cache.borrow().get(key).map(|(text, _)| text.clone())
    }

    async fn remember(&self, key: &str, text: String, seconds: u64) {
        yield_once().await;
        let (reads, writes) = self.cached.get();
        self.cached.set((reads, writes + 1));
        self.cache.borrow_mut().insert(key.to_owned(), (text, seconds));
    }
}

/// UTF-8 and Latin-1; the platform knows them all.
impl Charsets for TestWeb {
    fn decode(&self, label: &str, bytes: &[u8]) -> Option<String> {
        match label {
            "utf-8" => Some(String::from_utf8_lossy(bytes).into_owned()),
            "iso-8859-1" => Some(bytes.iter().map(|byte| char::from(*byte)).collect()),
            _ => None,
        }
    }
}

impl ContentTransport for TestWeb {
    async fn store_content(&self, ask: StoreMedia, content: Vec<u8>) -> Result<Stored, MatrixError> {
        self.stored.set(self.stored.get() + 1);
        let object = ask.media.media_id.clone();
        self.media().store(&ask, &object, stream::iter([Ok(content)])).await
    }
}

impl Clock for TestWeb {
    fn now(&self) -> Millis {
        self.clock.now()
    }
}

impl Entropy for TestWeb {
    fn fill(&self, bytes: &mut [u8]) {
        if let Some(entropy) = &self.entropy {
            entropy.fill(bytes);
        }
    }
}
