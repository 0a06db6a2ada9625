//! One-time keys on bad days: nobody gets a key that somebody else has.
//!
//! `TERN_SEEDS=10000 cargo test -p tern-testkit --test world keys` is the long run; by default there are a few hundred.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use futures::future::join_all;
use tern_edge::keys;
use tern_ports::{Target, ask_user, wire::keys::UploadKeys};
use tern_testkit::{Client, Faults, SigningKey, World};

use crate::scene::each_seed_of;

const CURVE: &str = "signed_curve25519";
const KEYS: usize = 12;
const CLAIMERS: usize = 6;
const SEEDS: u64 = 300;

/// Who got what: the claims that were answered with a key, and how many were not answered.
#[derive(Default)]
struct Ledger {
    given: RefCell<Vec<String>>,
    unanswered: Cell<usize>,
}

struct Scene {
    world: World,
    alice: Client,
    ledger: Rc<Ledger>,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let world = World::new(seed);
        let alice = world.sign_in("alice");
        let scene = Self { world, alice, ledger: Rc::default() };
        scene.world.run(scene.upload());
        scene
    }

    /// All keys, as a client repeats them when the answer does not come.
    async fn upload(&self) {
        let session = self.alice.session();
        let key = SigningKey::of_device(&self.alice.user_id, session.device_id.as_str());
        let named = |id: String| (format!("{CURVE}:{id}"), key.disposable(&id));
        let upload = UploadKeys {
            session,
            device_keys: None,
            one_time_keys: (0..KEYS).map(|number| named(format!("k{number:02}"))).collect(),
            fallback_keys: [named("fallback".to_owned())].into(),
        };
        while ask_user(&self.world, &self.alice.user_id, upload.clone()).await.is_err() {
            self.world.sleep(50).await;
        }
    }

    async fn claim(&self) -> Option<String> {
        let device_id = self.alice.session().device_id;
        let wanted = [(self.alice.user_id.clone(), BTreeMap::from([(device_id, CURVE.to_owned())]))].into();
        let claimed = keys::claim(&self.world, self.world.config(), wanted).await.unwrap();
        let of_device = claimed.one_time_keys.values().flat_map(|devices| devices.values());
        let name = of_device.flat_map(|keys| keys.keys()).next().cloned();
        match &name {
            Some(name) => self.ledger.given.borrow_mut().push(name.clone()),
            None => self.ledger.unanswered.set(self.ledger.unanswered.get() + 1),
        }
        name
    }

    /// Each claims a few times, all at once, while a client repeats its upload.
    async fn rush(&self) {
        let claims = (0..CLAIMERS).map(async |_| {
            for _ in 0..3 {
                self.claim().await;
                self.world.sleep(self.world.random().below(40) as u64).await;
            }
        });
        futures::future::join(join_all(claims), self.upload()).await;
    }

    /// Claims until there is nothing but the fallback key, and gives the one-time keys that ever came out.
    fn settle(&self) -> Vec<String> {
        self.world.heal();
        let mut last = self.world.run(self.claim());
        while last.as_ref().is_some_and(|name| !name.ends_with("fallback")) {
            last = self.world.run(self.claim());
        }
        assert!(last.is_some(), "then there is the fallback key");
        let given = self.ledger.given.borrow();
        given.iter().filter(|name| !name.ends_with("fallback")).cloned().collect()
    }
}

fn distinct(given: &[String]) -> usize {
    given.iter().collect::<std::collections::BTreeSet<_>>().len()
}

#[test]
fn no_key_goes_to_two_whatever_happens() {
    each_seed_of(SEEDS, |seed| {
        let scene = Scene::new(seed);
        scene.world.set_faults(Faults { crashes: 150, ..Faults::bad_day() });
        scene.world.run(scene.rush());
        let given = scene.settle();
        assert_eq!(distinct(&given), given.len(), "{given:?}");
    });
}

#[test]
fn a_key_is_only_gone_when_it_was_given_out() {
    each_seed_of(SEEDS, |seed| {
        let scene = Scene::new(seed);
        let hub = Target::User(scene.alice.user_id.clone());
        scene.world.set_faults(Faults { latency_ms: 10, ..Faults::default() });
        scene.world.run(async {
            let power_cuts = async {
                for _ in 0..4 {
                    scene.world.sleep(scene.world.random().below(60) as u64).await;
                    scene.world.crash(&hub);
                }
            };
            futures::future::join(scene.rush(), power_cuts).await;
        });
        let given = scene.settle();
        assert_eq!(distinct(&given), given.len());
        let lost = KEYS - given.len();
        assert!(lost <= scene.ledger.unanswered.get(), "{lost} keys went to nobody who asked");
    });
}
