//! Runs `doctor.mjs`, which looks at a deployment from outside.

use std::process::Command;

use anyhow::{Context, Result, bail};

use super::facts::Facts;
use crate::checkout::Checkout;

/// What to look at.
pub(crate) struct Target {
    pub(crate) url: String,
    pub(crate) server_name: Option<String>,
}

pub(super) fn gather(checkout: &Checkout, node: Command, target: &Target) -> Result<Facts> {
    let mut program = on(checkout, node, target);
    if let Some(name) = &target.server_name {
        program.args(["--server-name", name]);
    }
    let output = program.output().context("cannot start Node")?;
    if !output.status.success() {
        bail!("cannot look at {}: {}", target.url, String::from_utf8_lossy(&output.stderr).trim());
    }
    serde_json::from_slice(&output.stdout).context("doctor.mjs wrote no facts")
}

/// Whether the address answers as a homeserver does before so many seconds are over.
pub(crate) fn await_answer(checkout: &Checkout, node: Command, target: &Target, seconds: u32) -> Result<bool> {
    let mut program = on(checkout, node, target);
    let status = program.args(["--wait", &seconds.to_string()]).status().context("cannot start Node")?;
    Ok(status.success())
}

fn on(checkout: &Checkout, mut node: Command, target: &Target) -> Command {
    node.arg(checkout.wrangler().join("tasks/doctor.mjs")).args(["--url", &target.url]);
    node
}
