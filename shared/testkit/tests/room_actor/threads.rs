//! Threads that somebody wants to follow.

use ruma::OwnedEventId;
use tern_model::{MatrixError, RoomSeq};
use tern_ports::wire::{
    room::MembershipAction,
    threads::{FindThread, FoundThread},
};

use super::scene::{ALICE, BOB, CAROL, Scene, user};

impl Scene {
    fn thread(&self, who: &str, root: &OwnedEventId, cause: Option<&OwnedEventId>) -> Result<FoundThread, MatrixError> {
        self.ask(FindThread { caller: user(who), root: root.clone(), cause: cause.cloned() })
    }
}

#[test]
fn a_thread_is_found_with_the_place_of_what_made_somebody_follow_it() {
    let scene = Scene::new();
    scene.act(BOB, MembershipAction::Join, BOB).unwrap();
    let root = scene.say(ALICE, "root");
    let other = scene.say(ALICE, "other");
    let answer = scene.relate(BOB, "m.thread", &root, "answer").unwrap();
    let found = scene.thread(ALICE, &root, Some(&answer)).unwrap();
    assert_eq!(found.cause, Some(found.newest));
    assert_eq!(scene.thread(ALICE, &other, None).unwrap(), FoundThread { cause: None, ..found });
    for (root, cause) in [(&other, &answer), (&root, &other)] {
        let refused = scene.thread(ALICE, root, Some(cause)).unwrap_err();
        assert_eq!((refused.status, &*refused.errcode), (400, "IO.ELEMENT.MSC4306.M_NOT_IN_THREAD"));
    }
    let nothing: OwnedEventId = "$nothing".try_into().unwrap();
    for (who, root, cause) in [(CAROL, &root, None), (ALICE, &nothing, None), (ALICE, &root, Some(&nothing))] {
        assert_eq!(&*scene.thread(who, root, cause).unwrap_err().errcode, "M_NOT_FOUND");
    }
    assert!(found.newest > RoomSeq(0));
}
