//! The Python environments of the end-to-end tests: one of a client, one of Synapse, which is another server to them, one of
//! a bridge.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::checkout::Checkout;
use crate::fingerprint::{fingerprint, is_stamped, write_stamp};
use crate::progress::Runner;
use crate::rust_target::capture;

/// Packages that are installed together.
pub(crate) struct Environment {
    /// A folder below the tools.
    folder: &'static str,
    /// What is pinned.
    requirements: &'static str,
}

/// What drives a client.
pub(crate) const CLIENT: Environment = Environment { folder: "venv", requirements: "wrangler/e2e/requirements.txt" };
/// Synapse, apart since what it needs is pinned by itself.
pub(crate) const SYNAPSE: Environment =
    Environment { folder: "synapse", requirements: "wrangler/e2e/synapse-requirements.txt" };
/// A bridge to IRC.
pub(crate) const HEISENBRIDGE: Environment =
    Environment { folder: "heisenbridge", requirements: "wrangler/e2e/heisenbridge-requirements.txt" };

/// The interpreter that has the pinned packages.
pub(crate) fn ensure(environment: &Environment, checkout: &Checkout, runner: &Runner) -> Result<PathBuf> {
    let home = checkout.tools().join(environment.folder);
    let python = home.join("bin/python");
    let wanted = fingerprint(environment.folder, checkout.root(), &[environment.requirements])?;
    let stamp = home.join(".tern-stamp");
    if is_stamped(&stamp, &wanted) && python.is_file() {
        return Ok(python);
    }
    if capture(Command::new("python3").args(["-c", "import ensurepip, venv"])).is_err() {
        bail!("Python 3 with its venv module is missing (Debian: python3-venv); a Python client is part of the tests");
    }
    let mut create = Command::new("python3");
    create.args(["-m", "venv", "--clear"]).arg(&home);
    runner.run("creating the Python environment", &mut create)?;
    let mut install = Command::new(&python);
    install
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input", "-r"])
        .arg(checkout.path(environment.requirements));
    runner.run(&format!("installing Python packages ({})", environment.folder), &mut install)?;
    write_stamp(&stamp, &wanted)?;
    Ok(python)
}
