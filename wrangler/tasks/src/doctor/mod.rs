//! `cargo xtask doctor URL`: what an operator should know about a running deployment, and what to do about it.
//!
//! [`gather`] writes down what can be seen from outside; [`checks`] judge it without looking again.

mod checks;
pub(crate) mod facts;
#[cfg(test)]
mod faults;
mod gather;
#[cfg(test)]
mod stand_in;
pub(crate) mod verdict;

use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use serde_json::json;

use crate::checkout::Checkout;
use crate::node;
use crate::progress::Runner;
use checks::CHECKS;
use facts::Facts;
pub(crate) use gather::{Target, await_answer};
use verdict::{Outcome, Verdict};

pub(crate) type Verdicts = Vec<(&'static str, Verdict)>;

/// `cargo xtask doctor URL [--server-name NAME] [--json]`
pub(crate) fn run(checkout: &Checkout, runner: &Runner, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut url, mut server_name, mut as_json) = (None, None, false);
    while let Some(argument) = arguments.next()? {
        match argument {
            Long("json") => as_json = true,
            Long("server-name") => server_name = Some(arguments.value()?.string()?),
            Value(value) if url.is_none() => url = Some(value.string()?),
            other => return Err(other.unexpected().into()),
        }
    }
    let url = url.context("doctor of which address? For example `cargo xtask doctor https://matrix.example.org`")?;
    if !(url.starts_with("https://") || url.starts_with("http://")) {
        bail!("{url} is not an address: https://…");
    }
    let target = Target { url, server_name };
    let write = if as_json { machine_readable } else { as_text };
    tell(checkout, runner, &target, write)
}

/// For people, at the end of a deployment.
pub(crate) fn report(checkout: &Checkout, runner: &Runner, target: &Target) -> Result<ExitCode> {
    tell(checkout, runner, target, as_text)
}

fn tell(checkout: &Checkout, runner: &Runner, target: &Target, write: fn(&Verdicts) -> String) -> Result<ExitCode> {
    let node = node::command(checkout, runner)?;
    let verdicts = examine(&gather::gather(checkout, node, target)?);
    print!("{}", write(&verdicts));
    Ok(exit_code(&verdicts))
}

fn examine(facts: &Facts) -> Verdicts {
    CHECKS.iter().map(|(name, check)| (*name, check(facts))).collect()
}

pub(crate) fn exit_code(verdicts: &Verdicts) -> ExitCode {
    if count(verdicts, Outcome::Broken) == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn count(verdicts: &Verdicts, outcome: Outcome) -> usize {
    verdicts.iter().filter(|(_, verdict)| verdict.outcome == outcome).count()
}

pub(crate) fn as_text(verdicts: &Verdicts) -> String {
    let line = |(name, verdict): &(&str, Verdict)| {
        let advice = verdict.advice.as_ref().map(|advice| format!(". {advice}.")).unwrap_or_default();
        format!("{:<8} {name:<18} {}{advice}\n", verdict.outcome.word(), verdict.found)
    };
    let (broken, warnings) = (count(verdicts, Outcome::Broken), count(verdicts, Outcome::Warning));
    let lines: String = verdicts.iter().map(line).collect();
    format!("{lines}{broken} broken, {warnings} warnings\n")
}

/// One JSON object.
pub(crate) fn machine_readable(verdicts: &Verdicts) -> String {
    let check = |(name, verdict): &(&str, Verdict)| {
        let mut check = json!(verdict);
        if let Some(fields) = check.as_object_mut() {
            fields.insert("check".to_owned(), json!(name));
        }
        check
    };
    let checks: Vec<_> = verdicts.iter().map(check).collect();
    let (broken, warnings) = (count(verdicts, Outcome::Broken), count(verdicts, Outcome::Warning));
    format!("{}\n", json!({ "ok": broken == 0, "broken": broken, "warnings": warnings, "checks": checks }))
}
