//! `cargo xtask dev`: from nothing to a running server.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use lexopt::prelude::*;

use crate::checkout::Checkout;
use crate::keys;
use crate::progress::Runner;
use crate::script::{script, state_folder};
use crate::tools::Toolbox;
use crate::workers::{self, Profile};

const DEFAULT_PORT: u16 = 8787;

pub(crate) struct Options {
    port: u16,
    state: Option<PathBuf>,
    server_name: Option<String>,
    profile: Profile,
    /// Passed on to the launcher as they are.
    switches: Vec<&'static str>,
}

impl Options {
    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        let mut options =
            Self { port: DEFAULT_PORT, state: None, server_name: None, profile: Profile::Dev, switches: Vec::new() };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("port") => options.port = arguments.value()?.parse()?,
                Long("state") => options.state = Some(arguments.value()?.into()),
                Long("server-name") => options.server_name = Some(arguments.value()?.string()?),
                Long("release") => options.profile = Profile::Release,
                Long("open-registration") => options.switches.push("--open-registration"),
                // Mails are written to a file of the state folder.
                Long("mail") => options.switches.push("--mail"),
                Long("unlimited") => options.switches.push("--unlimited"),
                // DevTools can attach to the isolates: profiles, memory.
                Long("inspect") => options.switches.push("--inspect"),
                // For tests: storage can be made to fail by control lines on stdin. Not for people.
                Long("chaos") => options.switches.push("--chaos"),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

/// This process becomes the launcher, so that signals reach it directly.
pub(crate) fn run(checkout: &Checkout, runner: &Runner, options: Options) -> Result<ExitCode> {
    let state = state_folder(checkout, options.state)?;
    keys::ensure(&state, options.server_name.as_deref(), options.port)?;
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    workers::build(checkout, runner, &tools, options.profile)?;
    let mut launcher = script(checkout, &tools, "launch.mjs", &state);
    launcher.args(["--port", &options.port.to_string()]).args(options.switches);
    Err(launcher.exec()).context("cannot start Node")
}
