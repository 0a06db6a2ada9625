//! The Python environment of the end-to-end tests that drive a Python client.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

use crate::checkout::Checkout;
use crate::fingerprint::{fingerprint, is_stamped, write_stamp};
use crate::progress::Runner;
use crate::rust_target::capture;

const REQUIREMENTS: &str = "wrangler/e2e/requirements.txt";

/// The interpreter that has the pinned packages.
pub(crate) fn ensure(checkout: &Checkout, runner: &Runner) -> Result<PathBuf> {
    let home = checkout.tools().join("venv");
    let python = home.join("bin/python");
    let wanted = fingerprint("venv", checkout.root(), &[REQUIREMENTS])?;
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
        .arg(checkout.path(REQUIREMENTS));
    runner.run("installing Python packages", &mut install)?;
    write_stamp(&stamp, &wanted)?;
    Ok(python)
}
