//! What media cost: rows of D1 and operations of R2, which are billed, per request.

use futures::stream;
use ruma::{OwnedServerName, OwnedUserId};
use tern_model::Millis;
use tern_ports::wire::media::{FetchMedia, FetchThumbnail, MediaRef, StoreMedia};
use tern_storage::{
    MediaStore,
    media::{PART, Workbench},
};
use tern_testkit::{D1, Executor, bucket::Bucket};

use crate::Cost;

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
    vec![
        ("media_upload", shelf.upload("a", picture)),
        ("media_upload_known", shelf.upload("b", picture)),
        ("media_upload_3_parts", shelf.upload("c", &vec![0; 3 * PART])),
        ("media_download", shelf.download(&fetch("a"))),
        ("media_head", shelf.download(&FetchMedia { body: false, ..fetch("a") })),
        ("media_thumbnail_made", shelf.thumbnail()),
        ("media_thumbnail_kept", shelf.thumbnail()),
    ]
}

impl Shelf {
    fn media(&self) -> MediaStore<'_, &D1, &Bucket> {
        MediaStore { databases: &self.d1, objects: &self.bucket, workbench: &self.workbench }
    }

    fn upload(&self, media_id: &str, bytes: &[u8]) -> Cost {
        let ask = StoreMedia {
            media: named(media_id),
            user_id: OwnedUserId::try_from("@alice:tern.test").expect("a user id"),
            reserved: false,
            content_type: "image/png".to_owned(),
            name: None,
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
        ts: Millis(2),
    }
}
