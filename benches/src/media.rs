//! What media cost: rows of D1, operations of R2 and of KV, which are billed, per request.

use std::future::pending;

use futures::stream;
use ruma::{OwnedServerName, OwnedUserId, server_name};
use tern_model::Millis;
use tern_ports::wire::media::{FetchMedia, FetchThumbnail, MediaRef, StoreMedia};
use tern_storage::{
    MediaStore,
    media::{PART, Workbench},
};
use tern_testkit::{D1, Executor, TestWeb, bucket::Bucket, web::Page};

use crate::Cost;

const PAGE: &str = "https://example.org/";

/// A storage worker with a bucket.
#[derive(Default)]
struct Shelf {
    d1: D1,
    bucket: Bucket,
    workbench: Workbench,
}

/// Every workload with its cost.
pub(crate) fn costs() -> Vec<(&'static str, Cost)> {
    let shelf = Shelf::default();
    let picture = include_bytes!("picture.png");
    let site = site(picture);
    vec![
        ("media_upload", shelf.upload("a", picture)),
        ("media_upload_known", shelf.upload("b", picture)),
        ("media_upload_3_parts", shelf.upload("c", &vec![0; 3 * PART])),
        ("media_download", shelf.download(&fetch("a"))),
        ("media_head", shelf.download(&FetchMedia { body: false, ..fetch("a") })),
        ("media_thumbnail_made", shelf.thumbnail()),
        ("media_thumbnail_kept", shelf.thumbnail()),
        ("media_preview", preview(&site)),
        ("media_preview_kept", preview(&site)),
    ]
}

/// A page with a picture.
fn site(picture: &[u8]) -> TestWeb {
    let html = "<title>Page</title><meta property=og:image content=/a.png>";
    TestWeb::of([(PAGE, Page::of("text/html", html)), ("https://example.org/a.png", Page::of("image/png", picture))])
}

/// The page and its picture are each one request to another server.
fn preview(site: &TestWeb) -> Cost {
    let rows = site.d1.rows_written();
    let work = tern_edge::preview::preview(site, server_name!("tern.test"), PAGE, pending());
    let answer = Executor::new().run(work).expect("the page is shown");
    let operations = site.bucket.take_operations();
    let (cache_reads, cache_writes) = site.cached.take();
    Cost {
        bytes: answer.text().len() as u64,
        storage: site.stored.take(),
        rows: site.d1.rows_written() - rows,
        bucket_writes: operations.a,
        bucket_reads: operations.b,
        cache_reads,
        cache_writes,
        outbound: site.asked.take().len() as u64,
        ..Cost::default()
    }
}

impl Shelf {
    fn media(&self) -> MediaStore<'_, &D1, &Bucket> {
        MediaStore { databases: &self.d1, objects: &self.bucket, workbench: &self.workbench }
    }

    fn upload(&self, media_id: &str, bytes: &[u8]) -> Cost {
        let ask = StoreMedia {
            media: named(media_id),
            user_id: Some(OwnedUserId::try_from("@alice:tern.test").expect("a user id")),
            reserved: false,
            content_type: "image/png".to_owned(),
            name: None,
            picture: false,
            envelope: None,
            max_length: u64::MAX,
            quota: None,
            ts: Millis(1),
        };
        let chunks: Vec<_> = bytes.chunks(65_536).map(|chunk| Ok(chunk.to_vec())).collect();
        self.cost(async { self.media().store(&ask, media_id, stream::iter(chunks)).await.map(|_| ()) })
    }

    fn download(&self, ask: &FetchMedia) -> Cost {
        self.cost(async { self.media().fetch(ask).await.map(|_| ()) })
    }

    fn thumbnail(&self) -> Cost {
        let ask =
            FetchThumbnail { original: fetch("a"), width: 32, height: 32, crop: true, animated: false, webp: false };
        self.cost(async { self.media().thumbnail(&ask).await.map(|_| ()) })
    }

    /// Each is one message to the storage worker.
    fn cost(&self, work: impl Future<Output = Result<(), tern_model::MatrixError>>) -> Cost {
        let rows = self.d1.rows_written();
        Executor::new().run(work).expect("the request succeeds");
        let operations = self.bucket.take_operations();
        Cost {
            storage: 1,
            rows: self.d1.rows_written() - rows,
            bucket_writes: operations.a,
            bucket_reads: operations.b,
            ..Cost::default()
        }
    }
}

fn named(media_id: &str) -> MediaRef {
    let origin = OwnedServerName::try_from("tern.test").expect("a server name");
    MediaRef { origin, media_id: media_id.to_owned() }
}

fn fetch(media_id: &str) -> FetchMedia {
    FetchMedia {
        media: named(media_id),
        before: None,
        range: None,
        if_range: None,
        if_none_match: None,
        body: true,
        envelope: None,
        ts: Millis(2),
    }
}
