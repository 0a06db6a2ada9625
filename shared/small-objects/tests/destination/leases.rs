//! One at a time copies a medium of the server, and what failed is left alone for a while.

use std::collections::BTreeSet;

use tern_federation::x_matrix;
use tern_model::{Config, Federation, MatrixError};
use tern_ports::wire::{
    Done,
    destination::{EndMediaLease, LeaseMedia, MediaLease},
    frame,
};
use tern_testkit::{web::Page, world::config};

use crate::support::Scene;

const SERVER: &str = "a.org:8448";

fn lease(scene: &Scene, media_id: &str) -> Result<MediaLease, MatrixError> {
    let target = format!("/_matrix/federation/v1/media/download/{media_id}?timeout_ms=1");
    let ask = LeaseMedia { media_id: media_id.try_into().unwrap(), target: target.try_into().unwrap() };
    frame::read_reply(&scene.host.executor.run(scene.actor.handle(ask.into())))
}

fn end(scene: &Scene, media_id: &str, failure: Option<(u16, &'static str)>) {
    let failure = failure.map(|(status, errcode)| MatrixError::new(status, errcode, "?"));
    let ask = EndMediaLease { media_id: media_id.try_into().unwrap(), failure };
    let done: Result<Done, MatrixError> = frame::read_reply(&scene.host.executor.run(scene.actor.handle(ask.into())));
    done.unwrap();
}

fn is_granted(scene: &Scene, media_id: &str) -> bool {
    matches!(lease(scene, media_id), Ok(MediaLease::Granted { .. }))
}

#[test]
fn whoever_comes_first_is_told_where_and_has_a_signature() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    let Ok(MediaLease::Granted { url, authorization }) = lease(&scene, "abc") else { panic!("it is granted") };
    assert_eq!(url, "https://a.org:8448/_matrix/federation/v1/media/download/abc?timeout_ms=1");
    let signature = x_matrix::read(&authorization).unwrap().remove(0);
    assert_eq!(signature.destination.as_deref(), Some(SERVER));
    assert_eq!(lease(&scene, "abc"), Ok(MediaLease::Held));
    assert!(is_granted(&scene, "other"), "another medium does not wait");
    end(&scene, "abc", None);
    assert!(is_granted(&scene, "abc"));
    scene.pass(29_999);
    assert_eq!(lease(&scene, "abc"), Ok(MediaLease::Held));
    scene.pass(1);
    assert!(is_granted(&scene, "abc"), "whoever had it may be gone");
    assert!(scene.asked().is_empty());
}

#[test]
fn what_failed_fails_for_everybody_for_a_while() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    for (failure, pause) in [
        ((404, "M_NOT_FOUND"), 60_000),
        ((502, "M_UNKNOWN"), 60_000),
        ((504, "M_NOT_YET_UPLOADED"), 5_000),
        ((503, "M_UNKNOWN"), 0),
        ((429, "M_LIMIT_EXCEEDED"), 0),
    ] {
        assert!(is_granted(&scene, "abc"));
        end(&scene, "abc", Some(failure));
        if pause > 0 {
            scene.pass(pause - 1);
            let error = lease(&scene, "abc").unwrap_err();
            assert_eq!((error.status, &*error.errcode), failure);
            scene.pass(1);
        }
    }
}

#[test]
fn a_server_that_is_not_found_is_looked_for_once() {
    let well_known = Page::of("application/json", r#"{"m.server": "hs.a.org:443"}"#);
    let scene = Scene::new("a.org", vec![("https://a.org/.well-known/matrix/server", well_known)], &[]);
    let Ok(MediaLease::Granted { url, .. }) = lease(&scene, "abc") else { panic!("it is granted") };
    assert!(url.starts_with("https://hs.a.org/_matrix/"), "{url}");
    assert!(is_granted(&scene, "other"));
    assert_eq!(scene.asked().len(), 1, "the way is remembered");
    end(&scene, "abc", Some((502, "M_UNKNOWN")));
    assert!(is_granted(&scene, "third"));
    assert_eq!(scene.asked().len(), 1, "and looked for again when it led nowhere");
}

#[test]
fn nothing_is_asked_of_a_server_that_is_kept_out() {
    let denied = BTreeSet::from(["a.org:8448".try_into().unwrap()]);
    let federation = Federation { denied, ..Federation::default() };
    let scene = Scene::with(SERVER, Vec::new(), Config { federation, ..config() });
    assert_eq!(lease(&scene, "abc").unwrap_err().status, 403);
}

#[test]
fn so_much_is_copied_at_a_time_and_no_more() {
    let scene = Scene::new(SERVER, Vec::new(), &[]);
    for at in 0..1_000 {
        assert!(is_granted(&scene, &format!("m{at}")));
    }
    assert_eq!(lease(&scene, "more").unwrap_err().errcode, "M_LIMIT_EXCEEDED");
    scene.pass(30_000);
    assert!(is_granted(&scene, "more"));
}
