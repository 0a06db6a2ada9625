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

use scene::Scene;
use tern_model::{Class, Limits};
use tern_ports::Target;
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
/// Deeds whose cost is known to be more, and why.
const KNOWN: [(&str, &str); 2] = [
    ("new rooms", "130 invites an hour, each with 64 kB of stripped state, are 12 MB, and rooms in everybody's lists"),
    ("pushers", "the attacker's own hub serves twenty of them for each message"),
];

/// Deeds of an hour: all that the limit allows, or as many as reach every bound.
fn number(class: Class) -> u64 {
    let rate = Limits::default().of(class);
    let hour = u64::from(rate.burst) + u64::from(rate.per_hour);
    if std::env::var("TERN_ABUSE").as_deref() == Ok("hour") { hour } else { hour.min(ENOUGH) }
}

#[test]
fn an_hour_of_each_thing_that_somebody_hostile_can_do_harms_nobody() {
    let mut harm = Vec::new();
    for deed in deeds::ALL.iter().chain(settings::ALL).chain(keys::ALL) {
        let scene = Scene::new();
        let before = scene.requests(TIMES);
        let held = scene.world.held();
        let global = scene.world.global_bytes();
        let deeds = number(deed.class);
        let (mut done, mut refused) = (0, None);
        for at in 0..deeds {
            match scene.world.run((deed.what)(&scene, at)) {
                Ok(()) => done += 1,
                Err(error) if error.status < 500 || error.status == 507 => refused = Some(error.errcode),
                Err(error) => harm.push(format!("{}, number {at}: {error:?}", deed.name)),
            }
            scene.world.pass(HOUR_MS / deeds);
        }
        scene.world.pass(2 * HOUR_MS);
        let silent = scene.world.held();
        scene.world.pass(HOUR_MS);
        let after = scene.world.held();
        let requests = scene.requests(TIMES);

        let grown = |target: &Target| after[target].bytes - held.get(target).map_or(0, |held| held.bytes);
        let most = after.keys().map(|target| (grown(target), target)).max().unwrap();
        println!(
            "{:24} {done:>6} of {deeds:>6} {:28} most {:>6} kB, global {:>5} kB",
            deed.name,
            refused.as_deref().unwrap_or(""),
            most.0 >> 10,
            (scene.world.global_bytes() - global) >> 10,
        );
        for target in after.keys().filter(|target| grown(target) > MOST_BYTES) {
            harm.push(format!("{}: {target:?} has {} kB more", deed.name, grown(target) >> 10));
        }
        if scene.world.global_bytes() - global > MOST_GLOBAL_BYTES {
            harm.push(format!("{}: the database of all has {} kB", deed.name, scene.world.global_bytes() >> 10));
        }
        for (target, held) in &after {
            let rings = held.rings - silent[target].rings;
            if rings > MOST_RINGS {
                harm.push(format!("{}: the alarm of {target:?} rings {rings} times an hour", deed.name));
            }
        }
        for ((name, before), (_, after)) in before.iter().zip(&requests) {
            if before.as_ref().ok().zip(after.as_ref().ok()).is_none_or(|(before, after)| is_dearer(*before, *after)) {
                harm.push(format!("{}: {name} costs {after:?}, before {before:?}", deed.name));
            }
        }
    }
    let (known, harm): (Vec<_>, Vec<_>) =
        harm.into_iter().partition(|harm| KNOWN.iter().any(|(deed, _)| harm.starts_with(&format!("{deed}:"))));
    println!("known: {}", known.join("\n"));
    assert!(harm.is_empty(), "{}", harm.join("\n"));
}

/// More than twice as dear, and by more than what a page that lies elsewhere makes of it.
fn is_dearer(before: Work, after: Work) -> bool {
    let more = |before: u64, after: u64, slack: u64| after > 2 * before + slack;
    more(before.statements, after.statements, 20) || more(before.steps, after.steps, 5_000)
}
