//! Which build is deployed, and whether another one would be a step back.

use std::fs;
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config;
use super::folder::Folder;
use crate::checkout::Checkout;
use crate::rust_target::capture;

/// What of a build cannot be undone, and what names it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Revision {
    /// Of git; absent where the checkout is none.
    pub(crate) commit: Option<String>,
    /// D1 migrations, `events/0001_timeline.sql`.
    pub(crate) migrations: Vec<String>,
    /// Tags of the migrations of Durable Object classes.
    pub(crate) classes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// Written before anything of a build reaches Cloudflare, so that a command that was cut counts.
    pub(crate) begun: Option<Revision>,
    /// Written when the address has answered.
    pub(crate) deployed: Option<Revision>,
}

impl Record {
    /// That of a deployment; empty before the first.
    pub(crate) fn read(folder: &Folder) -> Result<Self> {
        Ok(folder.read("record.json")?.unwrap_or_default())
    }
}

/// Tags of the migrations of a worker's classes. No two workers have the same.
fn tags(checkout: &Checkout, worker: &str) -> Result<Vec<String>> {
    let config = config::read(checkout, worker)?;
    let steps = config.get("migrations").and_then(Value::as_array);
    let steps = steps.with_context(|| format!("{worker}.jsonc has no migrations"))?;
    Ok(steps.iter().filter_map(|step| Some(step.get("tag")?.as_str()?.to_owned())).collect())
}

impl Revision {
    /// That of this checkout.
    pub(crate) fn of(checkout: &Checkout) -> Result<Self> {
        let commit = capture(git(checkout).args(["rev-parse", "HEAD"])).ok();
        let classes = [tags(checkout, "proxy")?, tags(checkout, "storage-worker")?].concat();
        Ok(Self { commit, migrations: migrations(checkout)?, classes })
    }

    /// Why this revision is older than `deployed`; `contains` tells whether a commit is part of this checkout's history,
    /// if that can be told.
    pub(crate) fn check_not_older(&self, deployed: &Self, contains: impl FnOnce(&str) -> Option<bool>) -> Result<()> {
        let lost = |mine: &[String], theirs: &[String]| theirs.iter().find(|step| !mine.contains(step)).cloned();
        let back = "Databases and objects only migrate forward";
        if let Some(step) = lost(&self.migrations, &deployed.migrations) {
            bail!("this checkout is older than what is deployed: it does not know the migration {step}. {back}");
        }
        if let Some(step) = lost(&self.classes, &deployed.classes) {
            bail!("this checkout is older than what is deployed: it does not know the classes of {step}. {back}");
        }
        if let Some(commit) = deployed.commit.as_deref().filter(|commit| contains(commit) == Some(false)) {
            bail!("this checkout is older than what is deployed: {commit} is not part of its history. {back}");
        }
        Ok(())
    }

    /// What comes with this revision, a line each.
    pub(crate) fn news_since(&self, deployed: &Self) -> Vec<String> {
        let fresh = |mine: &[String], theirs: &[String]| -> Vec<String> {
            mine.iter().filter(|step| !theirs.contains(step)).cloned().collect()
        };
        let migrations =
            fresh(&self.migrations, &deployed.migrations).into_iter().map(|step| format!("D1 migration {step}"));
        let classes =
            fresh(&self.classes, &deployed.classes).into_iter().map(|step| format!("object classes of {step}"));
        migrations.chain(classes).collect()
    }
}

fn migrations(checkout: &Checkout) -> Result<Vec<String>> {
    let mut found = Vec::new();
    for group in ["events", "global"] {
        let path = checkout.wrangler().join("migrations").join(group);
        for entry in fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))? {
            let path = entry?.path();
            if path.extension().is_some_and(|kind| kind == "sql") {
                let name = path.file_name().unwrap_or_default();
                found.push(format!("{group}/{}", name.display()));
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Whether a commit is part of the history of this checkout; nothing where git does not know it.
pub(crate) fn contains(checkout: &Checkout, commit: &str) -> Option<bool> {
    let known = git(checkout).args(["cat-file", "-e", commit]).output().ok()?.status.success();
    let mut ask = git(checkout);
    known
        .then(|| ask.args(["merge-base", "--is-ancestor", commit, "HEAD"]).output())?
        .ok()
        .map(|reply| reply.status.success())
}

/// The lines that the changelog has gained since a commit.
pub(crate) fn changelog_since(checkout: &Checkout, commit: &str) -> Vec<String> {
    let diff = capture(git(checkout).args(["diff", "--unified=0", commit, "HEAD", "--", "CHANGELOG.md"]));
    let added = |line: &str| line.strip_prefix('+').filter(|line| !line.starts_with("++")).map(str::to_owned);
    diff.unwrap_or_default().lines().filter_map(added).collect()
}

fn git(checkout: &Checkout) -> Command {
    let mut git = Command::new("git");
    git.arg("-C").arg(checkout.root());
    git
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(commit: &str, migrations: &[&str]) -> Revision {
        let migrations = migrations.iter().map(|&step| step.to_owned()).collect();
        Revision { commit: Some(commit.to_owned()), migrations, classes: vec!["v1".to_owned()] }
    }

    #[test]
    fn a_step_back_is_refused_by_migrations_by_classes_and_by_history() {
        let (old, new) = (revision("a", &["events/0001"]), revision("b", &["events/0001", "events/0002"]));
        assert!(new.check_not_older(&old, |_| Some(true)).is_ok());
        assert!(new.check_not_older(&old, |_| None).is_ok());
        assert!(new.check_not_older(&new, |_| Some(true)).is_ok());
        let told = |result: Result<()>| result.expect_err("a step back").to_string();
        assert!(told(old.check_not_older(&new, |_| None)).contains("events/0002"));
        assert!(told(new.check_not_older(&old, |_| Some(false))).contains("a is not part of its history"));
        let more = Revision { classes: vec!["v1".to_owned(), "v2".to_owned()], ..new.clone() };
        assert!(told(new.check_not_older(&more, |_| None)).contains("v2"));
        assert_eq!(new.news_since(&old), ["D1 migration events/0002"]);
    }

    #[test]
    fn this_checkout_has_migrations_and_classes() {
        let revision = Revision::of(&Checkout::find().expect("a checkout")).expect("a revision");
        assert!(revision.migrations.contains(&"events/0001_timeline.sql".to_owned()));
        for step in ["v1", "v1-metrics"] {
            assert!(revision.classes.contains(&step.to_owned()), "{step}");
        }
    }
}
