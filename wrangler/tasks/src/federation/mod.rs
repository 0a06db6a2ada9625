//! `cargo xtask federation check NAME`: how another server is found, what it says of itself, and what is wrong with that.
//!
//! `federation.mjs` writes down what can be seen from here; [`checks`] judge it without looking again.

mod checks;
#[cfg(test)]
mod faults;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;

use crate::checkout::Checkout;
use crate::doctor::{as_text, exit_code, machine_readable};
use crate::node;
use crate::progress::Runner;
use checks::{Facts, examine};

/// `cargo xtask federation check NAME [--json]`
pub(crate) fn run(checkout: &Checkout, runner: &Runner, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut words, mut as_json) = (Vec::new(), false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("json") => as_json = true,
            Value(value) if words.len() < 2 => words.push(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let [command, name] = words.as_slice() else {
        bail!("check of which server? For example `cargo xtask federation check matrix.org`")
    };
    if command != "check" {
        bail!("unknown command federation {command}");
    }
    let mut program = node::command(checkout, runner)?;
    program.arg(checkout.wrangler().join("tasks/federation.mjs")).arg(name);
    let output = program.output().context("cannot start Node")?;
    if !output.status.success() {
        bail!("cannot look at {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    let facts: Facts = serde_json::from_slice(&output.stdout).context("federation.mjs wrote no facts")?;
    let verdicts = examine(&facts);
    print!("{}", if as_json { machine_readable(&verdicts) } else { as_text(&verdicts) });
    Ok(exit_code(&verdicts))
}
