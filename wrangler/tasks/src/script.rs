//! The programs beside this package, and the folder of a server's state, which they work on.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::checkout::Checkout;
use crate::tools::Toolbox;

const DEFAULT_STATE: &str = ".tern";

/// Absolute: a folder given by hand is relative to where the command was typed, the default one to the checkout.
pub(crate) fn state_folder(checkout: &Checkout, given: Option<PathBuf>) -> Result<PathBuf> {
    match given {
        Some(folder) => Ok(env::current_dir().context("the current folder is gone")?.join(folder)),
        None => Ok(checkout.path(DEFAULT_STATE)),
    }
}

/// One of the programs beside this package, on the state folder.
pub(crate) fn script(checkout: &Checkout, tools: &Toolbox, name: &str, state: &Path) -> Command {
    let mut command = tools.command("node");
    command.arg(checkout.wrangler().join("tasks").join(name)).arg("--state").arg(state);
    command
}
