//! Fuzzing: a minute for each target of `shared/fuzz`, on a copy of its seeds.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::checkout::Checkout;
use crate::progress::Runner;
use crate::rust_target::capture;
use crate::tools::Toolbox;

/// The package that runs the targets, pinned.
pub(crate) const CARGO_FUZZ: (&str, &str) = ("cargo-fuzz", "0.13.2");

/// How long a target is run.
const SECONDS: &str = "60";

/// Whether there is a compiler that cargo-fuzz can use.
pub(crate) fn has_nightly() -> bool {
    capture(Command::new("cargo").args(["+nightly", "--version"])).is_ok()
}

/// Runs every target; the first finding fails, with the input that makes it.
pub(crate) fn run(checkout: &Checkout, runner: &Runner, tools: &Toolbox) -> Result<()> {
    for target in targets(checkout)? {
        let corpus = checkout.path("shared/fuzz/fuzz/corpus").join(&target);
        fs::create_dir_all(&corpus).with_context(|| format!("cannot make {}", corpus.display()))?;
        let mut fuzz = tools.command("cargo");
        // No memory is unsafe here, so no sanitizer; overflows are looked for.
        fuzz.args(["+nightly", "fuzz", "run", "--sanitizer", "none", "--debug-assertions"])
            .arg(&target)
            .arg(&corpus)
            .arg(checkout.path("shared/fuzz/seeds").join(&target))
            .args(["--", "-timeout=5", "-rss_limit_mb=1024", "-print_final_stats=1"])
            .arg(format!("-max_total_time={SECONDS}"))
            .current_dir(checkout.path("shared/fuzz"));
        runner.run(&format!("fuzz {}", target.to_string_lossy()), &mut fuzz)?;
    }
    Ok(())
}

/// The binaries of `fuzz/fuzz_targets`.
fn targets(checkout: &Checkout) -> Result<Vec<OsString>> {
    let folder = checkout.path("shared/fuzz/fuzz/fuzz_targets");
    let entries = fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
    paths.sort();
    Ok(paths.iter().filter_map(|path| path.file_stem()).map(OsStr::to_owned).collect())
}
