//! `cargo xtask`: everything that is done with this checkout by one command each.
//!
//! | command | module |
//! |---|---|
//! | `dev` | [`dev`]: install, build, start the server |
//! | `user …` | [`user`]: accounts and registration tokens of a running or stopped server |
//! | `test` | [`mod@test`]: every check, from formatting to end-to-end tests |
//! | `deploy`, `upgrade`, `destroy` | [`deploy`]: a server on Cloudflare, by one command each
//! | `doctor` | [`doctor`]: what is wrong with a running deployment
//! | `federation check` | [`federation`]: how another server is found, and what is wrong with it
//! | `backup`, `restore` | [`backup`]: everything a server has, into a folder and back
//! | `appservice …` | [`appservice`]: the application services that a server knows
//! | `build`, `wrangler`, `keys` | what a deployment needs; [`keys`] also rotates the keys of id tokens |
//!
//! The server itself is started by `launch.mjs` beside this package, which uses wrangler's own libraries.

mod administration;
mod appservice;
mod backup;
mod cargo_tools;
mod checkout;
mod chromium;
mod deploy;
mod dev;
mod doctor;
mod federation;
mod fingerprint;
mod fuzz;
mod gate;
mod keys;
mod node;
mod progress;
mod python;
mod rust_target;
mod script;
mod steps;
mod test;
mod tools;
mod user;
mod workers;

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::checkout::Checkout;
use crate::progress::{Runner, say};
use crate::tools::Toolbox;
use crate::workers::Profile;

const USAGE: &str = "\
cargo xtask dev [--port 8787] [--state .tern] [--server-name NAME] [--open-registration] [--unlimited] [--release]
    Install what is missing, build, and run the server until Ctrl-C.
cargo xtask user add NAME [--admin] [--state .tern] [--port PORT]
    Add a user. The password is read from stdin, or asked for; an empty one is generated and printed.
cargo xtask user list [--search TEXT] | show NAME | lock NAME | unlock NAME | suspend NAME | unsuspend NAME
cargo xtask user reset-password NAME [--keep-sessions] | sessions NAME | sign-out NAME [DEVICE]
cargo xtask user deactivate NAME [--erase] | audit
cargo xtask user token list | token add [TOKEN] [--uses N] [--expires SECONDS] | token remove TOKEN
    Administer accounts of a running or stopped server. Lists have one JSON object a line.
cargo xtask deploy NAME --server-name example.org --url https://matrix.example.org [--account ID]
    Make a server on Cloudflare, or go on where this command was cut. Its settings and secrets are in .deploy/NAME.
cargo xtask upgrade NAME
    Bring this build to a deployment: migrations first. Refuses to go back.
cargo xtask destroy NAME
    Delete a deployment and everything in it, when its name is typed.
cargo xtask doctor URL [--server-name NAME] [--json]
    Look at a running deployment from outside: what is wrong, and what to do. Fails if something is broken.
cargo xtask federation check NAME [--json]
    Find another server as this one would, and say what is wrong with it. Fails if it cannot be reached.
cargo xtask backup DIR [--key-file FILE] [--state .tern | --deployment NAME | --url URL] [--verify]
    Keep everything a server has, encrypted; again, only what changed. --verify reads the backup alone.
cargo xtask restore DIR [--key-file FILE] [--state .tern | --deployment NAME | --url URL]
    Bring a backup into a server without users. One that was cut is run again.
cargo xtask appservice add FILE [--replace] | list | remove ID   [--state .tern | --deployment NAME]
    The bridges and bots that a server knows. FILE is the registration that a bridge writes (YAML); it is taken as it is.
cargo xtask test [--full]
    Every check. --full adds the slow ones, and fuzzing when there is a nightly compiler.
cargo xtask build [--release]
    Build both workers.
cargo xtask wrangler ARGUMENTS…
    Run the pinned wrangler, for example `wrangler login`.
cargo xtask keys
    Print fresh secrets for a deployment.
cargo xtask keys rotate [--anew] [--state .tern] [--port PORT]
    Let the next key sign id tokens. --anew replaces all of them at once: for keys that have become known.";

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            say(format_args!("error: {error:#}"));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<ExitCode> {
    let mut arguments = lexopt::Parser::from_env();
    let command = match arguments.next()? {
        Some(Value(command)) if command != "help" => command.string()?,
        None | Some(Value(_) | Short('h') | Long("help")) => {
            println!("{USAGE}");
            return Ok(ExitCode::SUCCESS);
        }
        Some(other) => return Err(other.unexpected().into()),
    };
    let checkout = Checkout::find()?;
    let runner = Runner::new(checkout.tools().join("logs"))?;
    match command.as_str() {
        "dev" => dev::run(&checkout, &runner, dev::Options::parse(arguments)?),
        "user" => user::run(&checkout, &runner, &user::Options::parse(arguments)?),
        "test" => Ok(test::run(&checkout, &runner, &test::Options::parse(arguments)?)),
        "build" => build(&checkout, &runner, arguments),
        "wrangler" => wrangler(&checkout, &runner, arguments),
        "deploy" => deploy::deploy(&checkout, &runner, arguments),
        "upgrade" => deploy::upgrade(&checkout, &runner, arguments),
        "destroy" => deploy::destroy(&checkout, &runner, arguments),
        "doctor" => doctor::run(&checkout, &runner, arguments),
        "federation" => federation::run(&checkout, &runner, arguments),
        "backup" | "restore" => backup::run(&checkout, &runner, &command, arguments),
        "appservice" => appservice::run(&checkout, &runner, appservice::Options::parse(arguments)?),
        "keys" => keys::run(&checkout, &runner, arguments),
        other => bail!("unknown command {other}\n\n{USAGE}"),
    }
}

fn build(checkout: &Checkout, runner: &Runner, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let mut profile = Profile::Dev;
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("release") => profile = Profile::Release,
            other => return Err(other.unexpected().into()),
        }
    }
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    workers::build(checkout, runner, &tools, profile)?;
    Ok(ExitCode::SUCCESS)
}

fn wrangler(checkout: &Checkout, runner: &Runner, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    let mut wrangler = tools.command(checkout.npm_binary("wrangler"));
    let error = wrangler.args(arguments.raw_args()?).exec();
    Err(error).context("cannot start wrangler")
}
