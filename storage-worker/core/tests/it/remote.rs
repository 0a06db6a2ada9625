//! Copies of what is elsewhere, and content on its way to other homeservers.

use std::cell::Cell;

use futures::stream;
use ruma::OwnedServerName;
use tern_media::{
    FileName,
    multipart::{Boundary, Described, closing, opening, redirection},
};
use tern_model::Millis;
use tern_ports::{
    Row, SqlError,
    wire::media::{
        FetchMedia, FetchThumbnail, MediaRef, PictureFacts, Purge, PurgeMedia, QuarantineMedia, StoreMedia, Stored,
        WITHHELD,
    },
};
use tern_storage::{
    Database, Databases, MediaStore, Statement,
    media::{PART, Workbench},
};
use tern_testkit::Executor;

use crate::media::{HOUR, NOW, Scene, bytes, code, error_of, get, put};

fn boundary() -> Boundary {
    Boundary::random([9; 18])
}

fn elsewhere(media_id: &str) -> MediaRef {
    MediaRef { origin: OwnedServerName::try_from("elsewhere.test").unwrap(), media_id: media_id.to_owned() }
}

/// A copy that comes in an envelope, whose own words count.
fn copy(media_id: &str) -> StoreMedia {
    let envelope = Some(boundary().content_type());
    StoreMedia { media: elsewhere(media_id), user_id: None, name: None, envelope, ..put("") }
}

fn envelope(content: &[u8]) -> Vec<u8> {
    let media = Described { content_type: "video/mp4".to_owned(), name: FileName::clean("größe.mp4") };
    [opening(&boundary(), &media).as_bytes(), content, closing(&boundary()).as_bytes()].concat()
}

fn fetch(media_id: &str) -> FetchMedia {
    FetchMedia { media: elsewhere(media_id), ..get("") }
}

#[test]
fn a_copy_is_what_its_envelope_says() {
    for length in [0, 1, 70_000, PART, 2 * PART + 17] {
        let (scene, content) = (Scene::new(), bytes(length));
        let stored = scene.store(&copy("a"), &envelope(&content)).unwrap();
        assert_eq!(stored, Stored { size: length as u64, ..Stored::default() });
        let (known, body) = scene.fetch(&fetch("a")).unwrap();
        assert!(body.as_deref() == Some(&content[..]), "{length}");
        assert_eq!((known.content_type.as_str(), known.name.as_deref()), ("video/mp4", Some("größe.mp4")));
        assert_eq!(code(scene.fetch(&get("a"))), error_of(404, "M_NOT_FOUND"), "it is not ours");
    }
}

#[test]
fn what_is_no_envelope_leaves_nothing() {
    let scene = Scene::new();
    let whole = envelope(&bytes(3 * PART));
    for (broken, expected) in [
        (&whole[..whole.len() - 40], error_of(400, "M_UNKNOWN")),
        (&whole[..60], error_of(400, "M_UNKNOWN")),
        (&b"<html>not found</html>"[..], error_of(400, "M_UNKNOWN")),
        (&vec![b'x'; 20_000][..], error_of(502, "M_UNKNOWN")),
    ] {
        assert_eq!(code(scene.store(&copy("a"), broken)), expected);
    }
    let plain = StoreMedia { envelope: Some("image/png".to_owned()), ..copy("a") };
    assert_eq!(code(scene.store(&plain, &whole)), error_of(502, "M_UNKNOWN"));
    let small = StoreMedia { max_length: 100, ..copy("a") };
    assert_eq!(code(scene.store(&small, &envelope(&bytes(101)))), error_of(413, "M_TOO_LARGE"));
    assert_eq!(code(scene.fetch(&fetch("a"))), error_of(404, "M_NOT_FOUND"));
    scene.sweep(Millis(NOW.0 + 25 * HOUR));
    assert_eq!(scene.bucket.keys(), [""; 0]);
}

#[test]
fn content_may_be_at_another_address() {
    let scene = Scene::new();
    let text = redirection(&boundary(), "https://cdn.elsewhere.test/x");
    let rows = scene.rows(|| {
        let stored = scene.store(&copy("a"), text.as_bytes()).unwrap();
        assert_eq!(stored.elsewhere.as_deref(), Some("https://cdn.elsewhere.test/x"));
    });
    assert_eq!((scene.bucket.keys().len(), rows), (0, 0));
}

#[test]
fn copies_expire_and_uploads_do_not() {
    let scene = Scene::new();
    scene.store(&copy("a"), &envelope(b"copy")).unwrap();
    scene.store(&StoreMedia { ts: Millis(NOW.0 + HOUR), ..copy("b") }, &envelope(b"later")).unwrap();
    scene.store(&put("mine"), b"upload").unwrap();
    scene.store(&put("same"), b"copy").unwrap();
    let month = 30 * 24 * HOUR;
    scene.sweep(Millis(NOW.0 + month));
    assert!(scene.fetch(&fetch("a")).is_ok(), "a month, and not less");
    scene.sweep(Millis(NOW.0 + month + 1));
    assert_eq!(code(scene.fetch(&fetch("a"))), error_of(404, "M_NOT_FOUND"));
    assert!(scene.fetch(&fetch("b")).is_ok());
    scene.sweep(Millis(NOW.0 + month + 2 * HOUR));
    scene.sweep(Millis(NOW.0 + month + 4 * HOUR));
    assert_eq!((scene.content("mine"), scene.content("same")), (Some(b"upload".to_vec()), Some(b"copy".to_vec())));
    assert_eq!(scene.bucket.keys().len(), 2, "what a user keeps, and no more");
    scene.store(&StoreMedia { ts: Millis(NOW.0 + month), ..copy("a") }, &envelope(b"copy")).expect("it can come again");
}

#[test]
fn a_copy_can_be_withheld_and_purged() {
    let scene = Scene::new();
    scene.store(&copy("a"), &envelope(b"bad")).unwrap();
    scene.worker.try_ask(QuarantineMedia { media: elsewhere("a"), withheld: true }).unwrap();
    scene.store(&copy("b"), &envelope(b"bad")).unwrap();
    assert_eq!(code(scene.fetch(&fetch("b"))), error_of(404, WITHHELD), "so that nobody brings it again");
    assert_eq!(scene.worker.ask(PurgeMedia { which: Purge::One(elsewhere("a")) }).count, 1);
    assert_eq!(code(scene.store(&copy("b"), &envelope(b"other"))), error_of(409, "M_CANNOT_OVERWRITE_MEDIA"));
}

#[test]
fn what_goes_out_in_an_envelope_comes_in_again() {
    let scene = Scene::new();
    let content = bytes(PART + 5);
    scene.store(&put("a"), &content).unwrap();
    let out = FetchMedia {
        envelope: Some(boundary().as_str().to_owned()),
        range: Some("bytes=0-1".to_owned()),
        if_none_match: Some("*".to_owned()),
        ..get("a")
    };
    let (known, body) = scene.fetch(&out).unwrap();
    assert_eq!(known.size, content.len() as u64);
    scene.store(&copy("a"), &body.unwrap()).unwrap();
    let (known, body) = scene.fetch(&fetch("a")).unwrap();
    assert_eq!((known.content_type.as_str(), known.name.as_deref()), ("image/png", Some("cat.png")));
    assert!(body == Some(content));
    let bad = FetchMedia { envelope: Some("a\r\nb".to_owned()), ..get("a") };
    assert_eq!(code(scene.fetch(&bad)), error_of(400, "M_INVALID_PARAM"));

    scene.store(&put("picture"), include_bytes!("../../../../benches/src/picture.png")).unwrap();
    let original = FetchMedia { media: crate::media::named("picture"), ..out };
    let wanted = FetchThumbnail { original, width: 32, height: 32, crop: true, animated: false, webp: false };
    let (known, body) = Executor::new().run(scene.media().thumbnail(&wanted)).unwrap();
    let body = body.unwrap();
    assert!(body.len() as u64 > known.size && body.ends_with(closing(&boundary()).as_bytes()));
}

#[test]
fn only_a_picture_is_kept_as_one_and_as_what_it_is() {
    let scene = Scene::new();
    let picture = include_bytes!("../../../../benches/src/picture.png");
    let ask = StoreMedia { picture: true, user_id: None, content_type: "text/html".to_owned(), ..put("a") };
    let stored = scene.store(&ask, picture).unwrap();
    let Some(PictureFacts { content_type, width, height }) = stored.picture else { unreachable!("a picture") };
    assert!(content_type == "image/png" && width > 0 && height > 0);
    assert_eq!(scene.fetch(&get("a")).unwrap().0.content_type, "image/png");
    let ask = StoreMedia { media: crate::media::named("b"), ..ask };
    for other in [&b""[..], b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>", b"<html>", &picture[..20]] {
        assert_eq!(code(scene.store(&ask, other)), error_of(400, "M_UNKNOWN"));
    }
    assert_eq!(scene.content("b"), None);
}

/// Lets the content go between the first batch of an upload and the second, and the database after the bucket was written.
struct Meanwhile<'a> {
    scene: &'a Scene,
    batches: Cell<u32>,
}

impl Databases for Meanwhile<'_> {
    async fn batch(&self, database: Database, statements: Vec<Statement>) -> Result<Vec<Vec<Row>>, SqlError> {
        self.batches.set(self.batches.get() + 1);
        let d1 = &*self.scene.worker.node.d1;
        if self.batches.get() == 2 {
            self.scene.media().sweep(Millis(NOW.0 + 1), NOW).await.unwrap();
        }
        if self.scene.bucket.keys().contains(&"o-new".to_owned()) {
            return Err(SqlError("gone".to_owned()));
        }
        d1.batch(database, statements).await
    }

    fn shards(&self) -> u8 {
        self.scene.worker.node.d1.shards()
    }

    async fn size(&self, database: Database) -> Result<u64, SqlError> {
        self.scene.worker.node.d1.size(database).await
    }
}

#[test]
fn what_is_written_after_all_has_a_grave() {
    let scene = Scene::new();
    scene.store(&put("old"), b"same").unwrap();
    scene.worker.ask(PurgeMedia { which: Purge::One(crate::media::named("old")) });
    let (databases, workbench) = (Meanwhile { scene: &scene, batches: Cell::new(0) }, Workbench::default());
    let media = MediaStore { databases, objects: &scene.bucket, workbench: &workbench };
    let stored = Executor::new().run(media.store(&put("new"), "o-new", stream::iter([Ok(b"same".to_vec())])));
    assert_eq!(code(stored), error_of(503, "M_UNKNOWN"));
    assert!(scene.bucket.keys().contains(&"o-new".to_owned()));
    scene.sweep(Millis(NOW.0 + 25 * HOUR));
    assert_eq!(scene.bucket.keys(), [""; 0]);
}
