//! Builds both workers to wasm, when something they are made of changed.

use anyhow::Result;

use crate::checkout::Checkout;
use crate::fingerprint::{fingerprint, is_stamped, write_stamp};
use crate::progress::Runner;
use crate::tools::Toolbox;

/// The two packages whose `build` folders the wrangler configurations name.
pub(crate) const WORKERS: [&str; 2] = ["storage-worker", "proxy"];
const SOURCES: [&str; 5] = ["Cargo.lock", "Cargo.toml", "proxy", "storage-worker", "shared"];

#[derive(Clone, Copy)]
pub(crate) enum Profile {
    /// Quick to build, good enough to work with.
    Dev,
    /// What is deployed.
    Release,
}

impl Profile {
    fn name(self) -> &'static str {
        match self {
            Self::Dev => "dev",
            Self::Release => "release",
        }
    }

    fn arguments(self) -> &'static [&'static str] {
        match self {
            Self::Dev => &["--profile", "wasm-dev", "--no-opt"],
            Self::Release => &["--release"],
        }
    }
}

/// Whatever was built last will do for a task that is not about the build.
pub(crate) fn build_if_missing(checkout: &Checkout, runner: &Runner, tools: &Toolbox, profile: Profile) -> Result<()> {
    if WORKERS.iter().all(|worker| checkout.path(worker).join("build/index.js").is_file()) {
        return Ok(());
    }
    build(checkout, runner, tools, profile)
}

/// One stamp per worker lies in its build folder, so removing the folder is enough to build again.
pub(crate) fn build(checkout: &Checkout, runner: &Runner, tools: &Toolbox, profile: Profile) -> Result<()> {
    let wanted = fingerprint(profile.name(), checkout.root(), &SOURCES)?;
    for worker in WORKERS {
        let home = checkout.path(worker);
        let stamp = home.join("build/.tern-stamp");
        if is_stamped(&stamp, &wanted) {
            continue;
        }
        let mut build = tools.wasm_command(checkout.tools().join("bin/worker-build"));
        build.args(profile.arguments()).current_dir(&home);
        runner.run(&format!("building {worker} ({})", profile.name()), &mut build)?;
        write_stamp(&stamp, &wanted)?;
    }
    Ok(())
}
