//! Tools written in Rust, compiled into the checkout: no download of somebody's binaries.

use std::fs;
use std::io::ErrorKind;
use std::process::Command;

use anyhow::{Context, Result};

use crate::checkout::Checkout;
use crate::progress::{Runner, say};

/// These tools run for seconds but would compile for many minutes at full optimisation, on two cores.
const QUICK_BUILD: [(&str, &str); 4] = [
    ("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0"),
    ("CARGO_PROFILE_RELEASE_LTO", "false"),
    ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16"),
    ("CARGO_PROFILE_RELEASE_DEBUG", "0"),
];

/// A package and the one version of it that will do.
pub(crate) type Tool<'a> = (&'a str, &'a str);

/// Installs those that are not there in exactly their version.
pub(crate) fn ensure(checkout: &Checkout, runner: &Runner, tools: &[Tool<'_>]) -> Result<()> {
    let installed = fs::read_to_string(checkout.tools().join(".crates.toml")).unwrap_or_default();
    let missing = tools.iter().filter(|(package, version)| !installed.contains(&format!("\"{package} {version} (")));
    let mut built = false;
    for (package, version) in missing {
        install(checkout, runner, (package, version))?;
        built = true;
    }
    if built { remove_build_folder(checkout) } else { Ok(()) }
}

fn install(checkout: &Checkout, runner: &Runner, tool: Tool<'_>) -> Result<()> {
    let label = format!("installing {} {}", tool.0, tool.1);
    if runner.attempt(&label, cargo_install(checkout, tool).arg("--locked"))? {
        return Ok(());
    }
    // The lock file a tool was published with may name a package its registry no longer has.
    say(format_args!("{label}: not with its own lock file, so with dependencies chosen now"));
    runner.run(&label, &mut cargo_install(checkout, tool))
}

fn cargo_install(checkout: &Checkout, (package, version): Tool<'_>) -> Command {
    let mut command = Command::new("cargo");
    command
        .args(["install", package, "--version", &format!("={version}"), "--root"])
        .arg(checkout.tools())
        .arg("--target-dir")
        .arg(checkout.tools().join("target"))
        .envs(QUICK_BUILD)
        .current_dir(checkout.root());
    command
}

fn remove_build_folder(checkout: &Checkout) -> Result<()> {
    fs::remove_dir_all(checkout.tools().join("target")).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error).context("cannot remove the build folder of the tools"),
    })
}
