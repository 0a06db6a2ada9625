//! A Chromium for the tests of the pages: this machine's, or Debian's where it may be installed.

use std::path::PathBuf;
use std::process::Command;
use std::{env, fs};

use anyhow::{Context, Result, bail};

use crate::progress::Runner;
use crate::rust_target::capture;

/// Names a browser.
const VARIABLE: &str = "TERN_CHROMIUM";
const NAMES: [&str; 3] = ["chromium", "chromium-browser", "google-chrome"];

/// A browser, installed if need be.
pub(crate) fn ensure(runner: &Runner) -> Result<PathBuf> {
    if let Some(found) = find() {
        return Ok(found);
    }
    if capture(Command::new("id").arg("-u")).ok().as_deref() != Some("0") || on_path("apt-get").is_none() {
        bail!("there is no Chromium; install one (Debian: chromium), or name it in {VARIABLE}");
    }
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.args(["--quiet", "--yes"]).args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        runner.run("installing Chromium", &mut command)
    };
    apt(&["update"])?;
    apt(&["install", "--no-install-recommends", "chromium", "fonts-dejavu-core"])?;
    find().context("Chromium was installed and is not there")
}

fn find() -> Option<PathBuf> {
    let named = env::var_os(VARIABLE).map(PathBuf::from).filter(|path| path.is_file());
    named.or_else(|| NAMES.iter().find_map(|name| on_path(name)))
}

fn on_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    env::split_paths(&path).map(|folder| folder.join(name)).find(|file| fs::metadata(file).is_ok_and(|it| it.is_file()))
}
