//! `cargo xtask backup DIR` and `cargo xtask restore DIR`: everything a server has, into a folder and back.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::checkout::Checkout;
use crate::deploy;
use crate::progress::Runner;
use crate::script::{script, state_folder};
use crate::tools::Toolbox;
use crate::workers::{self, Profile};

#[derive(Default)]
struct Options {
    folder: Option<PathBuf>,
    key_file: Option<PathBuf>,
    state: Option<PathBuf>,
    deployment: Option<String>,
    url: Option<String>,
    verify: bool,
}

impl Options {
    fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        let mut options = Self::default();
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(folder) if options.folder.is_none() => options.folder = Some(folder.into()),
                Long("key-file") => options.key_file = Some(arguments.value()?.into()),
                Long("state") => options.state = Some(arguments.value()?.into()),
                Long("deployment") => options.deployment = Some(arguments.value()?.string()?),
                Long("url") => options.url = Some(arguments.value()?.string()?),
                Long("verify") => options.verify = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    /// Refuses what would be left out silently.
    fn admit(&self, deed: &str) -> Result<()> {
        if self.url.is_some() && self.deployment.is_some() {
            bail!("--url and --deployment both say where the server is: give one");
        }
        if self.verify && deed == "restore" {
            bail!("--verify goes with `cargo xtask backup`: it reads the folder and restores nothing");
        }
        Ok(())
    }
}

/// `deed` is `backup` or `restore`.
pub(crate) fn run(checkout: &Checkout, runner: &Runner, deed: &str, arguments: lexopt::Parser) -> Result<ExitCode> {
    let options = Options::parse(arguments)?;
    options.admit(deed)?;
    let folder = options.folder.with_context(|| format!("{deed} with which folder?"))?;
    let here = env::current_dir().context("the current folder is gone")?;
    let state = state_folder(checkout, options.state)?;
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    if options.deployment.is_none() && options.url.is_none() && !options.verify {
        workers::build_if_missing(checkout, runner, &tools, Profile::Dev)?;
    }
    let mut program = script(checkout, &tools, "backup.mjs", &state);
    program.arg("--folder").arg(here.join(folder));
    if let Some(file) = options.key_file {
        program.arg("--key-file").arg(here.join(file));
    }
    if let Some(url) = options.url {
        program.args(["--url", &url]);
    }
    if let Some(name) = options.deployment {
        program.arg("--deployment").arg(deploy::folder(checkout, &name)?);
    }
    let deed = if options.verify { "verify" } else { deed };
    let status = program.arg(deed).status().context("cannot start Node")?;
    Ok(if status.success() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
