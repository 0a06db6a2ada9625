//! `cargo xtask deploy NAME`, `upgrade NAME`, `destroy NAME`: a server on Cloudflare by one command each.
//!
//! Nothing that git tracks is edited: what belongs to a deployment is in its [`folder`](mod@folder). Wrangler does the work, as
//! [`cloudflare`] asks it; the order and the repetition are [`install`]'s.

mod cloudflare;
mod config;
#[cfg(test)]
mod cuts;
mod folder;
mod install;
mod revision;

use std::io::{Write as _, stderr, stdin};
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::checkout::Checkout;
use crate::doctor::{self, Target};
use crate::node;
use crate::progress::{Runner, say};
use crate::tools::Toolbox;
use crate::workers::{self, Profile};
use cloudflare::Wrangler;
use config::Names;
use folder::{Folder, Settings, Wanted};
use install::{Install, PATIENCE_S};
use revision::{Record, Revision};

pub(crate) const PARENT: &str = ".deploy";

struct Options {
    name: String,
    wanted: Wanted,
}

impl Options {
    fn parse(verb: &str, mut arguments: lexopt::Parser) -> Result<Self> {
        let (mut name, mut wanted) = (None, Wanted::default());
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(value) if name.is_none() => name = Some(value.string()?),
                Long("server-name") => wanted.server_name = Some(arguments.value()?.string()?),
                Long("url") => wanted.url = Some(arguments.value()?.string()?),
                Long("account") => wanted.account = Some(arguments.value()?.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self { name: name.with_context(|| format!("`{verb}` which deployment?"))?, wanted })
    }
}

/// The folder of a deployment.
pub(crate) fn folder(checkout: &Checkout, name: &str) -> Result<PathBuf> {
    Ok(Folder::new(&checkout.path(PARENT), name)?.path)
}

/// The first time, and after a command that was cut.
pub(crate) fn deploy(checkout: &Checkout, runner: &Runner, arguments: lexopt::Parser) -> Result<ExitCode> {
    let options = Options::parse("deploy", arguments)?;
    let folder = Folder::new(&checkout.path(PARENT), &options.name)?;
    let settings = folder.settle(&options.wanted)?;
    let revision = checked_revision(checkout, &folder)?;
    if Record::read(&folder)?.deployed.is_some_and(|deployed| deployed != revision) {
        bail!("another build is deployed; `cargo xtask upgrade {}` brings this one", folder.name);
    }
    roll_out(checkout, runner, &folder, &settings, revision)
}

/// From an older build to this one.
pub(crate) fn upgrade(checkout: &Checkout, runner: &Runner, arguments: lexopt::Parser) -> Result<ExitCode> {
    let folder = Folder::new(&checkout.path(PARENT), &Options::parse("upgrade", arguments)?.name)?;
    let settings = folder.settings()?;
    let revision = checked_revision(checkout, &folder)?;
    let Some(deployed) = Record::read(&folder)?.deployed else {
        bail!("nothing is deployed yet; `cargo xtask deploy {}`", folder.name);
    };
    let news = revision.news_since(&deployed);
    let changelog = deployed.commit.map(|commit| revision::changelog_since(checkout, &commit)).unwrap_or_default();
    for line in news.iter().chain(&changelog) {
        say(line);
    }
    roll_out(checkout, runner, &folder, &settings, revision)
}

/// Refuses to go back, also behind an upgrade that was cut.
fn checked_revision(checkout: &Checkout, folder: &Folder) -> Result<Revision> {
    let revision = Revision::of(checkout)?;
    let record = Record::read(folder)?;
    for past in record.begun.iter().chain(&record.deployed) {
        revision.check_not_older(past, |commit| revision::contains(checkout, commit))?;
    }
    Ok(revision)
}

fn roll_out(
    checkout: &Checkout,
    runner: &Runner,
    folder: &Folder,
    settings: &Settings,
    revision: Revision,
) -> Result<ExitCode> {
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    let program = &|| wrangler(checkout, &tools, folder, settings);
    // Before the build, which takes minutes.
    Wrangler { program }.check_signed_in()?;
    workers::build(checkout, runner, &tools, Profile::Release)?;
    let target = Target { url: settings.url.clone(), server_name: Some(settings.server_name.clone()) };
    let names = &Names::of(checkout, &folder.name)?;
    let answers = &|_: &str| doctor::await_answer(checkout, node::command(checkout, runner)?, &target, PATIENCE_S);
    Install { checkout, folder, settings, names, wrangler: Wrangler { program }, revision, answers }.run()?;
    say(format_args!("deployed: {}", settings.url));
    doctor::report(checkout, runner, &target)
}

fn wrangler(checkout: &Checkout, tools: &Toolbox, folder: &Folder, settings: &Settings) -> Command {
    let mut wrangler = tools.command(checkout.npm_binary("wrangler"));
    wrangler.current_dir(&folder.path);
    if let Some(account) = &settings.account {
        wrangler.env("CLOUDFLARE_ACCOUNT_ID", account);
    }
    wrangler
}

/// Everything that users ever wrote is lost, so the name is to be typed again.
pub(crate) fn destroy(checkout: &Checkout, runner: &Runner, arguments: lexopt::Parser) -> Result<ExitCode> {
    let folder = Folder::new(&checkout.path(PARENT), &Options::parse("destroy", arguments)?.name)?;
    let settings = folder.settings()?;
    write!(stderr(), "All accounts, rooms and media of {} are lost. Type {} to go on: ", settings.url, folder.name)?;
    let mut typed = String::new();
    stdin().read_line(&mut typed).context("cannot read the name")?;
    if typed.trim() != folder.name {
        bail!("nothing was deleted");
    }
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    let program = &|| wrangler(checkout, &tools, &folder, &settings);
    let wrangler = Wrangler { program };
    wrangler.check_signed_in()?;
    install::destroy(&folder, &Names::of(checkout, &folder.name)?, &wrangler)?;
    say(format_args!("secrets and settings are left in {}; delete them if they are not needed", folder.path.display()));
    Ok(ExitCode::SUCCESS)
}
