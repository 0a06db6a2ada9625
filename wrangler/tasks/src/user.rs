//! `cargo xtask user add`: a user on a running or stopped server.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::path::PathBuf;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use serde_json::json;

use crate::checkout::Checkout;
use crate::progress::Runner;
use crate::tools::Toolbox;
use crate::workers::{self, Profile};
use crate::{dev, keys};

pub(crate) struct Options {
    localpart: String,
    admin: bool,
    state: Option<PathBuf>,
    port: Option<u16>,
}

impl Options {
    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        if arguments.next()? != Some(Value("add".into())) {
            bail!("the only thing to do with users is `user add NAME`");
        }
        let mut localpart = None;
        let mut options = Self { localpart: String::new(), admin: false, state: None, port: None };
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(name) if localpart.is_none() => localpart = Some(name.string()?),
                Long("admin") => options.admin = true,
                Long("state") => options.state = Some(arguments.value()?.into()),
                Long("port") => options.port = Some(arguments.value()?.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        options.localpart = localpart.context("the name of the user is missing: `user add NAME`")?;
        Ok(options)
    }
}

pub(crate) fn run(checkout: &Checkout, runner: &Runner, options: &Options) -> Result<ExitCode> {
    let state = dev::state_folder(checkout, options.state.clone())?;
    if !state.join("keys.json").is_file() {
        bail!("{} is not the folder of a server; start one with `cargo xtask dev`", state.display());
    }
    let (password, generated) = password()?;
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    workers::build_if_missing(checkout, runner, &tools, Profile::Dev)?;

    let mut script = dev::script(checkout, &tools, "user.mjs", &state);
    if let Some(port) = options.port {
        script.args(["--port", &port.to_string()]);
    }
    let body = json!({ "localpart": options.localpart, "password": password, "admin": options.admin });
    let mut child = script.stdin(Stdio::piped()).spawn().context("cannot start Node")?;
    let mut input = child.stdin.take().context("Node has no stdin")?;
    input.write_all(body.to_string().as_bytes())?;
    drop(input);
    if !child.wait()?.success() {
        return Ok(ExitCode::FAILURE);
    }
    if generated {
        println!("password: {password}");
    }
    Ok(ExitCode::SUCCESS)
}

/// The password, and whether we made it up.
fn password() -> Result<(String, bool)> {
    let terminal = stdin().is_terminal();
    let typed = if terminal { ask()? } else { read_line()? };
    if typed.is_empty() { Ok((keys::random_password()?, true)) } else { Ok((typed, false)) }
}

fn ask() -> Result<String> {
    write!(stderr(), "Password (empty: make one): ")?;
    echo(false);
    let typed = read_line();
    echo(true);
    writeln!(stderr())?;
    typed
}

/// Where there is no `stty`, the password is seen while typed; nothing worse.
fn echo(on: bool) {
    let _ = Command::new("stty").arg(if on { "echo" } else { "-echo" }).status();
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    stdin().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
