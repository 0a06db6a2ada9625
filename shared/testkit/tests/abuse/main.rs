//! An hour of somebody hostile with an account here, who stays within the rate limits: each way to write something, one at a
//! time, at its full rate. No hub may grow by much, nothing may be left that fails again and again, and what others ask for must
//! cost them about what it did before.
//!
//! By itself it is a part of the hour that reaches every bound, which is quick. `TERN_ABUSE=hour` makes it a whole one.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::print_stdout, reason = "tests")]

mod deeds;
mod keys;
mod scene;
mod settings;

use scene::{Deed, Scene};
use tern_model::{Class, Limits};
use tern_testkit::Work;

/// What a hub may grow by.
const MOST_BYTES: u64 = 10 << 20;
/// What the database of the whole server may.
const MOST_GLOBAL_BYTES: u64 = 10 << 20;
const HOUR_MS: u64 = 60 * 60 * 1_000;
/// Rings of a hub's alarm in an hour in which nobody does anything: one that fails rings more often.
const MOST_RINGS: u64 = 3;
/// Requests of which a median is taken.
const TIMES: usize = 3;
/// So many deeds reach every bound in bytes.
const ENOUGH: u64 = 150;
/// Deeds that are known to do one kind of harm, and why.
const KNOWN: [(&str, Kind, &str); 3] = [
    ("new rooms", Kind::Bytes, "the attacker's own hub has what 130 rooms are called, at 60 kB each"),
    ("new rooms", Kind::Dearer, "a hundred invites are a hundred rooms in the lists of whoever has not answered them"),
    ("pushers", Kind::Dearer, "the attacker's own hub serves twenty of them for each message"),
];

/// Deeds of an hour: all that the limit allows, or as many as reach every bound.
fn number(class: Class) -> u64 {
    let rate = Limits::default().of(class);
    let hour = u64::from(rate.burst) + u64::from(rate.per_hour);
    if std::env::var("TERN_ABUSE").as_deref() == Ok("hour") { hour } else { hour.min(ENOUGH) }
}

#[test]
fn an_hour_of_each_thing_that_somebody_hostile_can_do_harms_nobody() {
    let deeds = deeds::ALL.iter().chain(settings::ALL).chain(keys::ALL);
    let harm: Vec<Harm> = deeds.flat_map(harm_of).collect();
    let known = |harm: &Harm| KNOWN.iter().any(|(deed, kind, _)| (harm.deed, harm.kind) == (*deed, *kind));
    let (known, harm): (Vec<_>, Vec<_>) = harm.into_iter().partition(known);
    println!("known: {known:#?}");
    assert!(harm.is_empty(), "{harm:#?}");
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// The deed never succeeds, so nothing was tried.
    Nothing,
    Failed,
    Bytes,
    Global,
    Alarm,
    Dearer,
}

#[derive(Debug)]
#[expect(dead_code, reason = "what is shown when the test fails")]
struct Harm {
    deed: &'static str,
    kind: Kind,
    what: String,
}

/// What an hour of it, and three hours of silence, do to the server and to the requests of others.
fn harm_of(deed: &Deed) -> Vec<Harm> {
    let scene = Scene::new();
    let (requests, held, global) = (scene.requests(TIMES), scene.world.held(), scene.world.global_bytes());
    let mut harm = do_for_an_hour(&scene, deed);
    let mut add = |kind, what| harm.push(Harm { deed: deed.name, kind, what });
    scene.world.pass(2 * HOUR_MS);
    let silent = scene.world.held();
    scene.world.pass(HOUR_MS);
    for (target, now) in scene.world.held() {
        let grown = now.bytes.saturating_sub(held.get(&target).map_or(0, |held| held.bytes));
        if grown > MOST_BYTES {
            add(Kind::Bytes, format!("{target:?} has {} kB more", grown >> 10));
        }
        let rings = now.rings - silent[&target].rings;
        if rings > MOST_RINGS {
            add(Kind::Alarm, format!("the alarm of {target:?} rings {rings} times an hour"));
        }
    }
    for ((name, before), (_, after)) in requests.iter().zip(&scene.requests(TIMES)) {
        if before.as_ref().ok().zip(after.as_ref().ok()).is_none_or(|(before, after)| is_dearer(*before, *after)) {
            add(Kind::Dearer, format!("{name} costs {after:?}, before {before:?}"));
        }
    }
    let global = scene.world.global_bytes() - global;
    if global > MOST_GLOBAL_BYTES {
        add(Kind::Global, format!("the database of all has {} kB more", global >> 10));
    }
    harm
}

fn do_for_an_hour(scene: &Scene, deed: &Deed) -> Vec<Harm> {
    let (deeds, mut done, mut refused, mut harm) = (number(deed.class), 0, None, Vec::new());
    for at in 0..deeds {
        match scene.world.run((deed.what)(scene, at)) {
            Ok(()) => done += 1,
            Err(error) if error.status < 500 || error.status == 507 => refused = Some(error.errcode),
            Err(error) => {
                harm.push(Harm { deed: deed.name, kind: Kind::Failed, what: format!("number {at}: {error:?}") });
            }
        }
        scene.world.pass(HOUR_MS / deeds);
    }
    let refused = refused.as_deref().unwrap_or("");
    println!("{:24} {done:>6} of {deeds:>6} {refused}", deed.name);
    if done == 0 {
        harm.push(Harm { deed: deed.name, kind: Kind::Nothing, what: refused.to_owned() });
    }
    harm
}

/// More than twice as dear, and by more than what a page that lies elsewhere makes of it.
fn is_dearer(before: Work, after: Work) -> bool {
    let more = |before: u64, after: u64, slack: u64| after > 2 * before + slack;
    more(before.statements, after.statements, 20) || more(before.steps, after.steps, 5_000)
}
