//! The wasm32 standard library: from rustup, else built from the distribution's sources.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::checkout::Checkout;
use crate::progress::{Runner, say};

const TARGET: &str = "wasm32-unknown-unknown";
/// The name under which rustup knows the distribution's compiler.
const LINKED: &str = "debian";
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "rust-web-llvm", "lld-22"];

/// Makes sure some compiler can build for wasm32 and tells which one, if not the default one.
pub(crate) fn ensure(checkout: &Checkout, runner: &Runner) -> Result<Option<&'static str>> {
    if has_std(Path::new(&capture(Command::new("rustc").args(["--print", "sysroot"]))?)) {
        return Ok(None);
    }
    if !has_rustup() {
        return install_from_distribution(checkout, runner).map(|()| None);
    }
    if has_std(Path::new("/usr")) && is_linked() {
        return Ok(Some(LINKED));
    }
    let added = runner.run("installing the wasm32 target", Command::new("rustup").args(["target", "add", TARGET]));
    if let Err(error) = added {
        say(format_args!("{error:#}"));
        say("rustup cannot provide it; trying the packages of the distribution");
        install_from_distribution(checkout, runner)?;
        let mut link = Command::new("rustup");
        runner.run("linking the toolchain", link.args(["toolchain", "link", LINKED, "/usr"]))?;
        return Ok(Some(LINKED));
    }
    Ok(None)
}

fn has_rustup() -> bool {
    capture(Command::new("rustup").arg("--version")).is_ok()
}

fn is_linked() -> bool {
    capture(Command::new("rustup").args(["toolchain", "list"]))
        .is_ok_and(|list| list.lines().any(|line| line.split_whitespace().next() == Some(LINKED)))
}

fn has_std(sysroot: &Path) -> bool {
    libraries(&sysroot.join("lib/rustlib").join(TARGET).join("lib"))
        .is_ok_and(|files| files.iter().any(|file| file_name(file).starts_with("libstd-")))
}

fn install_from_distribution(checkout: &Checkout, runner: &Runner) -> Result<()> {
    if capture(Command::new("apt-get").arg("--version")).is_err() {
        bail!(
            "the Rust target {TARGET} is missing. Install it with `rustup target add {TARGET}` (https://rustup.rs) \
             or from the packages of your distribution, then run this again"
        );
    }
    runner.run("updating the package list", as_root("apt-get").args(["update", "-q"]))?;
    let mut install = as_root("apt-get");
    install.args(["install", "-q", "-y", "--no-install-recommends"]).args(PACKAGES);
    runner.run("installing the packages of the distribution", &mut install)?;
    if has_std(Path::new("/usr")) {
        return Ok(());
    }
    build_std(checkout, runner)
}

/// Builds the standard library with the compiler it belongs to and puts it where that compiler looks.
fn build_std(checkout: &Checkout, runner: &Runner) -> Result<()> {
    let target_dir = checkout.tools().join("wasm32-std");
    let mut build = Command::new("/usr/bin/cargo");
    build
        .args(["build", "--release", "--target", TARGET, "--manifest-path"])
        .arg(std_sources()?.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTC", "/usr/bin/rustc")
        .env("RUSTC_BOOTSTRAP", "1")
        // As the compiler's own build does it, plus the bitcode that link-time optimisation of the workers needs.
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", "-Zforce-unstable-if-unmarked -Cembed-bitcode=yes")
        .env_remove("RUSTUP_TOOLCHAIN");
    runner.run("building the wasm32 standard library", &mut build)?;

    let built = libraries(&target_dir.join(TARGET).join("release/deps"))?;
    let home = Path::new("/usr/lib/rustlib").join(TARGET).join("lib");
    runner.run("creating the library folder", as_root("mkdir").arg("-p").arg(&home))?;
    runner.run("copying the wasm32 standard library", as_root("cp").args(built).arg(&home))?;
    if !has_std(Path::new("/usr")) {
        bail!("the wasm32 standard library was built but {} has no libstd", home.display());
    }
    Ok(())
}

/// `/usr/src/rustc-<version>/library/sysroot`, the newest.
fn std_sources() -> Result<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir("/usr/src")
        .context("cannot read /usr/src")?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| file_name(path).starts_with("rustc-"))
        .map(|path| path.join("library/sysroot"))
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    found.pop().context("rust-web-src left no sources in /usr/src/rustc-*/library/sysroot")
}

fn libraries(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let files = entries.filter_map(|entry| Some(entry.ok()?.path()));
    Ok(files.filter(|path| path.extension().is_some_and(|extension| extension == "rlib")).collect())
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Through sudo unless we are root; it must not wait for a password nobody sees the question for.
fn as_root(program: &str) -> Command {
    let root = capture(Command::new("id").arg("-u")).is_ok_and(|id| id == "0");
    let mut command = Command::new(if root { program } else { "sudo" });
    if !root {
        command.args(["-n", program]);
    }
    command.env("DEBIAN_FRONTEND", "noninteractive");
    command
}

/// What a quick command prints, without the white space around it.
pub(crate) fn capture(command: &mut Command) -> Result<String> {
    let program = command.get_program().display().to_string();
    let output = command.output().with_context(|| format!("cannot start {program}"))?;
    if !output.status.success() {
        bail!("{program}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    }
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}
