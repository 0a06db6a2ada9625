//! Everything the build and the server need, installed into the checkout when it is missing.

use std::env;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::cargo_tools::{self, Tool};
use crate::checkout::Checkout;
use crate::progress::Runner;
use crate::{node, rust_target};

const WORKER_BUILD: &str = "0.8.7";

/// The environment in which pinned tools are found.
pub(crate) struct Toolbox {
    path: OsString,
    binaries: [(&'static str, PathBuf); 3],
    toolchain: Option<&'static str>,
    wasm_flags: String,
}

impl Toolbox {
    /// Installs what is missing of what every task needs, and of the extra tools.
    pub(crate) fn ensure(checkout: &Checkout, runner: &Runner, extra: &[Tool<'_>]) -> Result<Self> {
        let toolchain = rust_target::ensure(checkout, runner)?;
        let node = node::ensure(checkout, runner)?;
        // The code generator must be of the very version of the library the workers link.
        let wasm_bindgen = locked_version(checkout, "wasm-bindgen")?;
        let own = [("worker-build", WORKER_BUILD), ("wasm-bindgen-cli", &wasm_bindgen)];
        cargo_tools::ensure(checkout, runner, &[&own, extra].concat())?;

        let own = [checkout.tools().join("bin"), checkout.wrangler().join("node_modules/.bin")];
        let inherited = env::var_os("PATH").unwrap_or_default();
        let path = env::join_paths(node.into_iter().chain(own).chain(env::split_paths(&inherited)))
            .context("a folder in PATH has a colon in its name")?;
        let binaries = [
            ("WASM_BINDGEN_BIN", checkout.tools().join("bin/wasm-bindgen")),
            ("WASM_OPT_BIN", checkout.npm_binary("wasm-opt")),
            ("ESBUILD_BIN", checkout.npm_binary("esbuild")),
        ];
        Ok(Self { path, binaries, toolchain, wasm_flags: without_paths(checkout) })
    }

    /// A command that finds the pinned tools and lets none of them report home or ask for updates.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("PATH", &self.path)
            .envs(self.binaries.iter().map(|(name, path)| (name, path)))
            .env("WRANGLER_SEND_METRICS", "false")
            .env("WRANGLER_HIDE_BANNER", "true")
            .env("NO_UPDATE_NOTIFIER", "1");
        command
    }

    /// The same with the compiler that can build for wasm32.
    pub(crate) fn wasm_command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command(program);
        if let Some(toolchain) = self.toolchain {
            command.env("RUSTUP_TOOLCHAIN", toolchain);
        }
        command.env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", &self.wasm_flags);
        command
    }
}

/// Takes the folders of this machine out of what panics say: nobody outside has to know them, and they are bytes.
fn without_paths(checkout: &Checkout) -> String {
    let home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| Some(PathBuf::from(env::var_os("HOME")?).join(".cargo"))).unwrap_or_default();
    let registries = fs::read_dir(home.join("registry/src")).into_iter().flatten();
    let mut folders: Vec<PathBuf> = registries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.sort();
    folders.push(checkout.root().to_owned());
    // The variable is split at white space.
    let folders =
        folders.iter().filter_map(|folder| folder.to_str()).filter(|folder| !folder.contains(char::is_whitespace));
    folders.map(|folder| format!("--remap-path-prefix={folder}/=")).collect::<Vec<_>>().join(" ")
}

/// The version of a package in `Cargo.lock`.
fn locked_version(checkout: &Checkout, package: &str) -> Result<String> {
    let path = checkout.path("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    version_in_lock(&lock, package).with_context(|| format!("{package} is not in {}", path.display()))
}

fn version_in_lock(lock: &str, package: &str) -> Option<String> {
    let name = format!("name = \"{package}\"");
    let mut lines = lock.lines().skip_while(|line| *line != name);
    let version = lines.nth(1)?.strip_prefix("version = \"")?.strip_suffix('"')?;
    Some(version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::version_in_lock;

    #[test]
    fn finds_the_version_of_exactly_this_package() {
        let lock = "[[package]]\nname = \"wasm-bindgen-macro\"\nversion = \"1.0.0\"\n\n\
                    [[package]]\nname = \"wasm-bindgen\"\nversion = \"0.2.130\"\n";
        assert_eq!(version_in_lock(lock, "wasm-bindgen").as_deref(), Some("0.2.130"));
        assert_eq!(version_in_lock(lock, "wasm"), None);
    }
}
