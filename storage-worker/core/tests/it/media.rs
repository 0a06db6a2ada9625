//! Names, content, reservations and what is left after a crash.

use std::cell::Cell;

use futures::stream;
use ruma::OwnedServerName;
use tern_model::{MatrixError, Millis};
use tern_ports::wire::media::{
    FetchMedia, Fetched, Follows, MediaRef, Purge, PurgeMedia, QuarantineMedia, ReserveMedia, StoreMedia, Stored,
    WITHHELD,
};
use tern_storage::{
    MediaStore,
    media::{PART, Workbench},
};
use tern_testkit::{
    D1, Executor,
    bucket::{Bucket, Operations},
};

use crate::support::{Worker, user};

pub(crate) const HOUR: u64 = 60 * 60 * 1000;
pub(crate) const NOW: Millis = Millis(1_790_000_000_000);

pub(crate) struct Scene {
    pub(crate) worker: Worker,
    pub(crate) bucket: Bucket,
    uploads: Cell<u64>,
    workbench: Workbench,
}

impl Scene {
    pub(crate) fn new() -> Self {
        Self {
            worker: Worker::new(),
            bucket: Bucket::default(),
            uploads: Cell::new(0),
            workbench: Workbench::default(),
        }
    }

    pub(crate) fn media(&self) -> MediaStore<'_, &D1, &Bucket> {
        MediaStore { databases: &*self.worker.node.d1, objects: &self.bucket, workbench: &self.workbench }
    }

    /// Stores `bytes` in chunks as a client sends them, under a key that ends with the media id.
    pub(crate) fn store(&self, ask: &StoreMedia, bytes: &[u8]) -> Result<Stored, MatrixError> {
        self.uploads.set(self.uploads.get() + 1);
        let object = format!("o{}-{}", self.uploads.get(), ask.media.media_id);
        let chunks: Vec<_> = bytes.chunks(64 << 10).map(|chunk| Ok(chunk.to_vec())).collect();
        Executor::new().run(self.media().store(ask, &object, stream::iter(chunks)))
    }

    pub(crate) fn fetch(&self, ask: &FetchMedia) -> Result<(Fetched, Option<Vec<u8>>), MatrixError> {
        Executor::new().run(self.media().fetch(ask))
    }

    pub(crate) fn content(&self, media_id: &str) -> Option<Vec<u8>> {
        self.fetch(&get(media_id)).ok().and_then(|(_, body)| body)
    }

    pub(crate) fn sweep(&self, now: Millis) -> usize {
        let cached_before = Millis(now.0 - 30 * 24 * HOUR);
        Executor::new().run(self.media().sweep(now, cached_before)).unwrap()
    }

    pub(crate) fn rows(&self, work: impl FnOnce()) -> u64 {
        let before = self.worker.node.d1.rows_written();
        work();
        self.worker.node.d1.rows_written() - before
    }
}

pub(crate) fn named(media_id: &str) -> MediaRef {
    MediaRef { origin: OwnedServerName::try_from("tern.test").unwrap(), media_id: media_id.to_owned() }
}

pub(crate) fn put(media_id: &str) -> StoreMedia {
    StoreMedia {
        media: named(media_id),
        user_id: Some(user("alice")),
        reserved: false,
        content_type: "image/png".to_owned(),
        name: Some("cat.png".to_owned()),
        picture: false,
        envelope: None,
        max_length: 40 << 20,
        quota: None,
        ts: NOW,
    }
}

pub(crate) fn get(media_id: &str) -> FetchMedia {
    FetchMedia {
        media: named(media_id),
        before: None,
        range: None,
        if_range: None,
        if_none_match: None,
        body: true,
        envelope: None,
        ts: NOW,
    }
}

pub(crate) fn code<T: std::fmt::Debug>(result: Result<T, MatrixError>) -> (u16, String) {
    let error = result.unwrap_err();
    (error.status, error.errcode.into_owned())
}

pub(crate) fn error_of(status: u16, errcode: &str) -> (u16, String) {
    (status, errcode.to_owned())
}

/// Bytes that differ from part to part.
pub(crate) fn bytes(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from((at * 31 + at / 4096) % 251).unwrap_or(0)).collect()
}

#[test]
fn content_comes_back_as_it_went_in() {
    for length in [0, 1, 70_000, PART - 1, PART, PART + 1, 3 * PART, 3 * PART + 17] {
        let (scene, content) = (Scene::new(), bytes(length));
        let stored = scene.store(&put("a"), &content).unwrap();
        assert_eq!(stored.size, content.len() as u64);
        let (known, body) = scene.fetch(&get("a")).unwrap();
        assert!(body.as_deref() == Some(&content[..]), "{length} bytes");
        assert_eq!(
            (known.size, known.follows, known.name.as_deref()),
            (length as u64, Follows::Whole, Some("cat.png"))
        );
        let range = Some(format!("bytes={}-", length / 2));
        let part = scene.fetch(&FetchMedia { range, if_range: Some(known.tag.clone()), ..get("a") });
        match part.unwrap() {
            (known, None) => assert_eq!((known.follows, length), (Follows::Unsatisfiable, 0)),
            (_, Some(rest)) => assert!(rest == content[length / 2..]),
        }
        let again = FetchMedia { if_none_match: Some(known.tag), ..get("a") };
        assert_eq!(scene.fetch(&again).map(|(known, body)| (known.follows, body)), Ok((Follows::Unchanged, None)));
    }
}

#[test]
fn the_same_content_is_stored_once() {
    let scene = Scene::new();
    for (short, length) in [(true, 1000), (false, PART + 5)] {
        let content = bytes(length);
        let names: Vec<_> = ["a", "b", "c"].map(|name| format!("{name}{length}")).into();
        for name in &names {
            scene.store(&put(name), &content).unwrap();
            assert!(scene.content(name) == Some(content.clone()));
        }
        assert_eq!(scene.bucket.keys().iter().filter(|key| key.ends_with(&length.to_string())).count(), 1, "{short}");
        for name in &names {
            let purged = scene.worker.ask(PurgeMedia { which: Purge::One(named(name)) });
            assert_eq!((purged.count, scene.content(name)), (1, None));
            scene.sweep(Millis(NOW.0 + HOUR));
            scene.sweep(Millis(NOW.0 + 2 * HOUR));
        }
        assert!(!scene.bucket.keys().iter().any(|key| key.ends_with(&length.to_string())), "gone with the last name");
    }
    assert_eq!(scene.bucket.keys(), [""; 0]);
}

#[test]
fn a_reserved_name_waits_for_its_owner() {
    let scene = Scene::new();
    let expires = Millis(NOW.0 + HOUR);
    let reserve = |name: &str, ts: Millis| {
        let (media_id, user_id) = (name.to_owned(), user("alice"));
        scene.worker.try_ask(ReserveMedia { media_id, user_id, expires, most: 2, ts })
    };
    reserve("a", NOW).unwrap();
    reserve("b", NOW).unwrap();
    let full = reserve("c", NOW).unwrap_err();
    assert_eq!((full.status, full.retry_after_ms), (429, Some(HOUR)));
    reserve("c", expires).expect("the expired ones do not count");

    reserve("d", NOW).unwrap();
    let fill = |name: &str| StoreMedia { reserved: true, ..put(name) };
    assert_eq!(code(scene.fetch(&get("d"))), error_of(504, "M_NOT_YET_UPLOADED"));
    assert_eq!(code(scene.store(&fill("never"), b"x")), error_of(404, "M_NOT_FOUND"));
    assert_eq!(
        code(scene.store(&StoreMedia { user_id: Some(user("bob")), ..fill("d") }, b"x")),
        error_of(403, "M_FORBIDDEN")
    );
    scene.store(&fill("d"), b"content").unwrap();
    assert_eq!(scene.content("d").as_deref(), Some(&b"content"[..]));
    assert_eq!(code(scene.store(&fill("d"), b"other")), error_of(409, "M_CANNOT_OVERWRITE_MEDIA"));
    assert_eq!(code(scene.store(&put("d"), b"other")), error_of(409, "M_CANNOT_OVERWRITE_MEDIA"));

    reserve("e", NOW).unwrap();
    let late = StoreMedia { ts: expires, ..fill("e") };
    assert_eq!(code(scene.store(&late, b"x")), error_of(404, "M_NOT_FOUND"));
    assert_eq!(code(scene.fetch(&FetchMedia { ts: expires, ..get("e") })), error_of(404, "M_NOT_FOUND"));
}

#[test]
fn limits_hold_for_one_upload_and_for_all_of_a_user() {
    let scene = Scene::new();
    let small = |name: &str| StoreMedia { max_length: 100, quota: Some(150), ..put(name) };
    assert_eq!(code(scene.store(&small("a"), &bytes(101))), error_of(413, "M_TOO_LARGE"));
    scene.store(&small("a"), &bytes(100)).unwrap();
    assert_eq!(code(scene.store(&small("b"), &bytes(51))), error_of(403, "M_FORBIDDEN"));
    scene.store(&StoreMedia { user_id: Some(user("bob")), ..small("b") }, &bytes(51)).expect("another's room");
    scene.store(&small("c"), &bytes(50)).unwrap();
    assert_eq!(code(scene.store(&small("d"), b"")), error_of(403, "M_FORBIDDEN"));
    let long = StoreMedia { max_length: 2 * PART as u64, ..put("e") };
    assert_eq!(code(scene.store(&long, &bytes(2 * PART + 1))), error_of(413, "M_TOO_LARGE"));
    let purged = scene.worker.ask(PurgeMedia { which: Purge::OfUser(user("alice")) });
    assert_eq!(purged.count, 2);
    assert_eq!((scene.content("a"), scene.content("c")), (None, None));
    assert!(scene.content("b").is_some());
    scene.store(&small("f"), &bytes(100)).expect("there is room again");
}

#[test]
fn withheld_content_is_found_under_no_name() {
    let scene = Scene::new();
    scene.store(&put("a"), b"bad").unwrap();
    scene.store(&put("b"), b"bad").unwrap();
    let withhold = |name: &str, withheld| scene.worker.try_ask(QuarantineMedia { media: named(name), withheld });
    withhold("a", true).unwrap();
    scene.store(&put("c"), b"bad").unwrap();
    for name in ["a", "b", "c"] {
        assert_eq!(code(scene.fetch(&get(name))), error_of(404, WITHHELD), "{name}");
    }
    withhold("c", false).unwrap();
    assert_eq!(scene.content("a").as_deref(), Some(&b"bad"[..]));
    assert_eq!(code(withhold("never", true)), error_of(404, "M_NOT_FOUND"));
}

#[test]
fn the_open_paths_know_only_what_is_old() {
    let scene = Scene::new();
    scene.store(&put("a"), b"x").unwrap();
    let open = |before: u64| scene.fetch(&FetchMedia { before: Some(Millis(before)), ..get("a") });
    assert_eq!(code(open(NOW.0)), error_of(404, "M_NOT_FOUND"));
    assert!(open(NOW.0 + 1).is_ok());
}

#[test]
fn a_crash_at_any_step_leaves_nothing_half_and_the_sweep_the_rest() {
    for length in [1000, 2 * PART + 5] {
        for step in 1.. {
            let (scene, content) = (Scene::new(), bytes(length));
            scene.bucket.crash_at.set(Some(step));
            let stored = scene.store(&put("a"), &content);
            scene.bucket.crash_at.set(None);
            if stored.is_ok() {
                assert!(step > 1 && scene.content("a") == Some(content));
                break;
            }
            assert_eq!(code(stored), error_of(503, "M_UNKNOWN"));
            assert_eq!(scene.content("a"), None, "step {step} of {length} bytes");
            scene.sweep(Millis(NOW.0 + 25 * HOUR));
            assert_eq!(scene.bucket.keys(), [""; 0]);
            scene.store(&put("a"), &content).unwrap();
            scene.sweep(Millis(NOW.0 + 50 * HOUR));
            assert!(scene.content("a") == Some(content), "the sweep leaves alone what has a name");
        }
    }
}

#[test]
fn an_outage_between_put_and_row_leaves_a_grave() {
    let scene = Scene::new();
    let media = scene.media();
    // The body's end comes after the admission of a long upload; the commit then finds the database gone.
    let d1 = &scene.worker.node.d1;
    let chunks = (0..=2 * PART / 65_536).map(|at| {
        d1.outage.set(at == 2 * PART / 65_536);
        Ok(vec![7; 65_536])
    });
    let stored = Executor::new().run(media.store(&put("a"), "o-a", stream::iter(chunks)));
    d1.outage.set(false);
    assert_eq!(code(stored), error_of(503, "M_UNKNOWN"));
    assert_eq!((scene.content("a"), scene.bucket.keys()), (None, vec!["o-a".to_owned()]));
    assert_eq!(scene.sweep(Millis(NOW.0 + 23 * HOUR)), 0, "it might still be under way");
    assert_eq!(scene.sweep(Millis(NOW.0 + 25 * HOUR)), 1);
    assert_eq!(scene.bucket.keys(), [""; 0]);
}

#[test]
fn a_sweep_that_fails_goes_on_later() {
    let scene = Scene::new();
    scene.store(&put("a"), b"x").unwrap();
    scene.worker.ask(PurgeMedia { which: Purge::One(named("a")) });
    scene.sweep(NOW);
    let later = Millis(NOW.0 + HOUR);
    let media = scene.media();
    scene.bucket.crash_at.set(Some(1));
    assert!(Executor::new().run(media.sweep(later, NOW)).is_err());
    scene.bucket.crash_at.set(None);
    assert_eq!((scene.sweep(later), scene.sweep(later)), (1, 0));
}

#[test]
fn costs_are_few() {
    let scene = Scene::new();
    let cost = |work: &dyn Fn()| {
        let rows = scene.rows(work);
        let Operations { a, b } = scene.bucket.take_operations();
        (rows, a, b)
    };
    assert_eq!(
        cost(&|| {
            scene.store(&put("a"), b"x").unwrap();
        }),
        (5, 1, 0),
        "grave, blob, name with the entry of its user, grave closed"
    );
    assert_eq!(
        cost(&|| {
            scene.store(&put("b"), b"x").unwrap();
        }),
        (3, 0, 0),
        "blob counted, name with its entry"
    );
    assert_eq!(
        cost(&|| {
            scene.store(&put("c"), &bytes(3 * PART)).unwrap();
        }),
        (5, 5, 0)
    );
    assert_eq!(
        cost(&|| {
            scene.fetch(&get("a")).unwrap();
        }),
        (0, 0, 1)
    );
    assert_eq!(
        cost(&|| {
            scene.fetch(&FetchMedia { body: false, ..get("a") }).unwrap();
        }),
        (0, 0, 0)
    );
}

/// Runs every statement once.
pub(crate) fn touch(worker: &Worker) {
    let (bucket, d1) = (Bucket::default(), &*worker.node.d1);
    let workbench = Workbench::default();
    let media = MediaStore { databases: d1, objects: &bucket, workbench: &workbench };
    let run = Executor::new();
    worker.ask(ReserveMedia { media_id: "t".to_owned(), user_id: user("alice"), expires: NOW, most: 1, ts: Millis(1) });
    run.run(media.store(&put("touched"), "o", stream::iter([Ok(vec![1])]))).unwrap();
    run.run(media.fetch(&get("touched"))).unwrap();
    worker.ask(QuarantineMedia { media: named("touched"), withheld: false });
    worker.ask(PurgeMedia { which: Purge::One(named("touched")) });
    worker.ask(PurgeMedia { which: Purge::OfUser(user("alice")) });
}
