//! `cargo xtask test`: every check, with the same names locally and elsewhere.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::thread::{self, ScopedJoinHandle};

use anyhow::{Context, Result, anyhow};
use lexopt::prelude::*;

use crate::checkout::Checkout;
use crate::progress::Runner;
use crate::rust_target::capture;
use crate::steps::Steps;
use crate::tools::Toolbox;
use crate::workers::{self, Profile};
use crate::{cargo_tools, chromium, fuzz, gate, python};

const CARGO_DENY: &str = "0.20.2";
/// Where cargo-deny gets its advisories.
const ADVISORIES: &str = "https://github.com/RustSec/advisory-db";

pub(crate) struct Options {
    /// Also what takes long.
    full: bool,
}

impl Options {
    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        let mut options = Self { full: false };
        while let Some(argument) = arguments.next()? {
            match argument {
                Long("full") => options.full = true,
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }
}

pub(crate) fn run(checkout: &Checkout, runner: &Runner, options: &Options) -> ExitCode {
    let mut steps = Steps::default();
    let mut tools = None;
    steps.run("tools", || {
        tools = Some(Toolbox::ensure(checkout, runner, &[("cargo-deny", CARGO_DENY)])?);
        Ok(())
    });
    let checks = Checks { checkout, runner };
    let Some(tools) = &tools else {
        checks.sources(&mut steps);
        steps.skip("wasm", "the tools are missing");
        return steps.report();
    };
    thread::scope(|scope| {
        // A release build ends with minutes in one thread, and many tests have one: beside each other they use both cores.
        let beside = runner.beside();
        let workers = scope.spawn(move || workers::build(checkout, &beside, tools, Profile::Release));
        checks.sources(&mut steps);
        checks.dependencies(&mut steps, tools);
        checks.wasm(&mut steps, tools, options, workers);
        if options.full {
            checks.fuzz(&mut steps, tools);
        }
    });
    steps.report()
}

struct Checks<'a> {
    checkout: &'a Checkout,
    runner: &'a Runner,
}

impl Checks<'_> {
    /// What the compiler of this machine can judge.
    fn sources(&self, steps: &mut Steps) {
        steps.run("fmt", || self.cargo("fmt", &["fmt", "--all", "--check"], &[]));
        steps.run("clippy", || {
            self.cargo(
                "clippy",
                &["clippy", "--locked", "--workspace", "--all-targets", "--keep-going", "--", "-D", "warnings"],
                &[],
            )
        });
        // Unit and property tests, the simulator, the import rules and the budgets.
        steps.run("test", || self.cargo("test", &["test", "--locked", "--workspace", "--no-fail-fast"], &[]));
        steps.run("docs", || {
            let arguments = ["doc", "--locked", "--workspace", "--no-deps", "--document-private-items"];
            self.cargo("docs", &arguments, &[("RUSTDOCFLAGS", "-D warnings")])
        });
        steps.run("bench", || {
            // Of the whole workspace, so that every dependency has the features that it was tested with, and is not built again.
            self.cargo("bench", &["test", "--locked", "--workspace", "--benches", "--no-run"], &[])
        });
    }

    /// What others wrote: under which licence, from where, with which known holes.
    fn dependencies(&self, steps: &mut Steps, tools: &Toolbox) {
        steps.run("deny", || self.deny(tools, "deny", &["bans", "licenses", "sources"]));
        let mut ask = tools.command("git");
        // A network that swallows packets must not hold up the rest.
        ask.args(["-c", "http.lowSpeedLimit=1", "-c", "http.lowSpeedTime=20", "ls-remote", ADVISORIES, "HEAD"]);
        if capture(ask.env("GIT_TERMINAL_PROMPT", "0")).is_ok() {
            steps.run("advisories", || self.deny(tools, "advisories", &["advisories"]));
        } else {
            steps.unavailable("advisories", "the advisory database cannot be reached");
        }
    }

    fn deny(&self, tools: &Toolbox, label: &str, checks: &[&str]) -> Result<()> {
        let mut deny = tools.command("cargo");
        deny.args(["deny", "--workspace", "check"]).args(checks).current_dir(self.checkout.root());
        self.runner.run(label, &mut deny)
    }

    /// What is deployed: its lints, its size, its configuration and how it behaves on the real runtime.
    fn wasm(&self, steps: &mut Steps, tools: &Toolbox, options: &Options, workers: ScopedJoinHandle<'_, Result<()>>) {
        if capture(tools.wasm_command("cargo").args(["clippy", "--version"])).is_ok() {
            steps.run("clippy-wasm", || self.clippy_wasm(tools));
        } else {
            // The distribution's compiler, where rustup could not provide the wasm32 library.
            steps.unavailable("clippy-wasm", "the compiler that builds for wasm32 comes without clippy");
        }
        let built =
            steps.run("build-wasm", || workers.join().map_err(|_| anyhow!("the build of the workers panicked"))?);
        if !built {
            for name in ["size", "deploy", "e2e"] {
                steps.skip(name, "build-wasm failed");
            }
            return;
        }
        steps.run("size", || gate::check(self.checkout));
        steps.run("deploy", || self.deploy_dry_run(tools));
        let chromium = chromium::ensure(self.runner);
        if let Err(error) = &chromium {
            steps.unavailable("pages", &format!("{error:#}"));
        }
        steps.run("e2e", || self.end_to_end(tools, options, chromium.ok()));
    }

    /// Needs a nightly compiler, which nothing else does.
    fn fuzz(&self, steps: &mut Steps, tools: &Toolbox) {
        if !fuzz::has_nightly() {
            steps.unavailable("fuzz", "there is no nightly compiler (`rustup toolchain install nightly`)");
            return;
        }
        steps.run("fuzz", || {
            cargo_tools::ensure(self.checkout, self.runner, &[fuzz::CARGO_FUZZ])?;
            fuzz::run(self.checkout, self.runner, tools)
        });
    }

    fn cargo(&self, label: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Result<()> {
        let mut command = Command::new("cargo");
        command.args(arguments).envs(environment.iter().copied()).current_dir(self.checkout.root());
        self.runner.run(label, &mut command)
    }

    fn clippy_wasm(&self, tools: &Toolbox) -> Result<()> {
        let mut clippy = tools.wasm_command("cargo");
        clippy
            .args(["clippy", "--locked", "--package", "tern-proxy", "--package", "tern-storage-worker"])
            .args(["--target", "wasm32-unknown-unknown", "--", "-D", "warnings"])
            .env("CLIPPY_CONF_DIR", self.checkout.path(".wasm"))
            .current_dir(self.checkout.root());
        self.runner.run("clippy-wasm", &mut clippy)
    }

    fn deploy_dry_run(&self, tools: &Toolbox) -> Result<()> {
        for worker in workers::WORKERS {
            let mut deploy = tools.command(self.checkout.npm_binary("wrangler"));
            deploy
                .args(["deploy", "--dry-run", "--config", &format!("wrangler/{worker}.jsonc")])
                .current_dir(self.checkout.root());
            self.runner.run(&format!("deploy {worker} (dry run)"), &mut deploy)?;
        }
        Ok(())
    }

    /// The specs print what they show, so their output is not hidden.
    fn end_to_end(&self, tools: &Toolbox, options: &Options, chromium: Option<PathBuf>) -> Result<()> {
        for environment in [python::CLIENT, python::SYNAPSE, python::HEISENBRIDGE] {
            python::ensure(&environment, self.checkout, self.runner)?;
        }
        let mut node = tools.command("node");
        node.arg(self.checkout.path("wrangler/e2e/run.ts")).arg("--release");
        if options.full {
            node.arg("--full");
        }
        node.envs(chromium.map(|path| ("TERN_CHROMIUM", path)));
        let status = node.current_dir(self.checkout.root()).status().context("cannot start Node")?;
        anyhow::ensure!(status.success(), "end-to-end tests: {status}");
        Ok(())
    }
}
