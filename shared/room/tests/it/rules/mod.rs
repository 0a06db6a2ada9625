//! Every authorisation rule of every room version, each with an event that it lets through and one that it stops.
//!
//! The rules are numbered as in room version 12; versions that lack or add one say so in their range. `RULES.md` is made of
//! this table (`TERN_RULES=write cargo test -p tern-room rules`), so a rule without both cases cannot be in it.

mod create;
mod member;
mod others;
mod power;

use std::{collections::BTreeSet, fmt::Write as _, fs, ops::RangeInclusive};

use crate::scene::{Event, Scene};
use tern_room::{KNOWN, Verdict, Version};

/// A rule and what shows it.
pub(crate) struct Rule {
    number: &'static str,
    text: &'static str,
    versions: RangeInclusive<usize>,
    names: (&'static str, &'static str),
    accepts: fn(&'static Version) -> Verdict,
    rejects: fn(&'static Version) -> Verdict,
}

/// Writes a table of rules: number, versions, the rule in words, the function with the event that is accepted and the one
/// with the event that is rejected.
macro_rules! rules {
    ($($number:literal $versions:expr, $text:literal: $accepts:ident, $rejects:ident;)*) => {
        pub(super) static RULES: &[crate::rules::Rule] = &[$(crate::rules::Rule {
            number: $number, text: $text, versions: $versions, names: (stringify!($accepts), stringify!($rejects)),
            accepts: $accepts, rejects: $rejects,
        },)*];
    };
}
pub(crate) use rules;

const TABLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/RULES.md");

fn all() -> impl Iterator<Item = (&'static str, &'static Rule)> {
    let tables =
        [("create", create::RULES), ("member", member::RULES), ("others", others::RULES), ("power", power::RULES)];
    tables.into_iter().flat_map(|(file, rules)| rules.iter().map(move |rule| (file, rule)))
}

fn versions(rule: &Rule) -> impl Iterator<Item = &'static Version> {
    KNOWN.iter().copied().filter(|version| rule.versions.contains(&version.id.parse().unwrap()))
}

#[test]
fn every_rule_lets_through_what_it_should_in_every_version() {
    for (_, rule) in all() {
        for version in versions(rule) {
            let verdict = (rule.accepts)(version);
            assert_eq!(verdict, Verdict::Accept, "{} {} in version {}", rule.number, rule.names.0, version.id);
        }
    }
}

#[test]
fn every_rule_stops_what_it_should_in_every_version() {
    for (_, rule) in all() {
        for version in versions(rule) {
            let verdict = (rule.rejects)(version);
            let rejected = matches!(verdict, Verdict::Reject(_));
            assert!(rejected, "{} {} in version {}: {verdict:?}", rule.number, rule.names.1, version.id);
        }
    }
}

/// The numbers of room version 12 under which something is rejected, and of what only older versions have: without this, a
/// rule could be left out of the table unnoticed.
const NUMBERS: &str = "1.1 1.2 1.3 1.4 2 3.1 3.2 3.3 3.5 4 5.1 5.2 5.3.1 5.3.2 5.3.3 5.3.4 5.3.5.1 5.3.5.2 5.3.6 5.4.1.1 5.4.1.2 \
                       5.4.1.3 5.4.1.4 5.4.1.5 5.4.1.6 5.4.1.7 5.4.2 5.4.3 5.4.4 5.5.1 5.5.2 5.5.3 5.5.4 5.6.1 5.6.2 5.7.1 \
                       5.7.2 5.7.3 5.8 6 7 8 9 10.1 10.2 10.3 10.4 10.5 10.6.1 10.6.2 10.7 10.8 10.9 10.10 11 \
                       1.2a 1.4a 3.2a 3.4a 4a 4b 5.7a 10.1a 11a";

#[test]
fn no_rule_is_left_out() {
    let covered: BTreeSet<&str> = all().map(|(_, rule)| rule.number.trim_end_matches('\'')).collect();
    assert_eq!(covered, NUMBERS.split_whitespace().collect());
}

#[test]
fn the_table_is_up_to_date() {
    let table = table();
    if std::env::var("TERN_RULES").is_ok_and(|value| value == "write") {
        fs::write(TABLE, &table).unwrap();
    }
    assert_eq!(fs::read_to_string(TABLE).unwrap_or_default(), table, "TERN_RULES=write makes it anew");
}

fn table() -> String {
    let mut text = String::from(
        "# Authorisation rules and their tests\n\nMade by `TERN_RULES=write cargo test -p tern-room rules`; checked by \
         `cargo test`. Numbers are those of room version 12\n(a letter marks rules that other versions have in that place). \
         The cases are functions in `tests/it/rules/` and run in every\nversion of the range.\n\n| rule | versions | what | \
         accepted | rejected |\n|---|---|---|---|---|\n",
    );
    for (file, Rule { number, text: what, versions, names, .. }) in all() {
        let (from, to) = (versions.start(), versions.end());
        let _ = writeln!(text, "| {number} | {from}–{to} | {what} | `{file}::{}` | `{file}::{}` |", names.0, names.1);
    }
    text
}

/// A scene and its next event's verdict.
fn authorised(version: &'static Version, act: impl FnOnce(&mut Scene) -> Event) -> Verdict {
    let mut scene = Scene::new(version);
    let event = act(&mut scene);
    scene.authorise_pdu(event)
}
