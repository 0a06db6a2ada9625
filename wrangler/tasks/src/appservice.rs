//! `cargo xtask appservice …`: registrations of application services, which a server reads when it starts.
//!
//! Node reads the YAML and keeps the list; the expressions are looked at here, by the library that the server reads them with.

use std::env;
use std::ffi::OsString;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use regex_lite::Regex;
use serde_json::Value as Json;

use crate::checkout::Checkout;
use crate::deploy;
use crate::node;
use crate::progress::{Runner, say};
use crate::script::state_folder;

pub(crate) struct Options {
    deed: Deed,
    state: Option<PathBuf>,
    deployment: Option<String>,
}

enum Deed {
    Add { file: PathBuf, replace: bool },
    List,
    Remove { id: String },
}

impl Options {
    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        let (mut words, mut replace) = (Vec::new(), false);
        let (mut state, mut deployment) = (None, None);
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(word) if words.len() < 2 => words.push(word),
                Long("replace") => replace = true,
                Long("state") => state = Some(arguments.value()?.into()),
                Long("deployment") => deployment = Some(arguments.value()?.string()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(Self { deed: Deed::of(words, replace)?, state, deployment })
    }
}

impl Deed {
    fn of(words: Vec<OsString>, replace: bool) -> Result<Self> {
        let mut words = words.into_iter();
        let verb = words.next().context("`appservice` what: add, list or remove?")?.string()?;
        Ok(match (verb.as_str(), words.next()) {
            ("add", file) => Self::Add { file: file.context("`appservice add` which file?")?.into(), replace },
            (verb, _) if replace => bail!("--replace belongs to `appservice add`, not to `{verb}`"),
            ("list", None) => Self::List,
            ("remove", id) => Self::Remove { id: id.context("`appservice remove` which id?")?.string()? },
            (verb, _) => bail!("there is no such `appservice {verb}`; `cargo xtask help` lists what there is"),
        })
    }
}

pub(crate) fn run(checkout: &Checkout, runner: &Runner, options: Options) -> Result<ExitCode> {
    let mut keeper = program(checkout, runner)?;
    keeper.arg("--state").arg(state_folder(checkout, options.state)?);
    if let Some(name) = options.deployment {
        keeper.arg("--deployment").arg(deploy::folder(checkout, &name)?);
    }
    let done = match options.deed {
        Deed::List => keeper.arg("list").status().context("cannot start Node")?.success(),
        Deed::Remove { id } => {
            keeper.arg("remove").arg(format!("--id={id}")).status().context("cannot start Node")?.success()
        }
        Deed::Add { file, replace } => {
            let registration = read(program(checkout, runner)?, &file)?;
            keeper.args(replace.then_some("--replace"));
            registration.map_or(Ok(false), |registration| add(&mut keeper, &registration))?
        }
    };
    Ok(if done { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn program(checkout: &Checkout, runner: &Runner) -> Result<Command> {
    let mut node = node::command(checkout, runner)?;
    node.arg(checkout.wrangler().join("tasks/appservice.mjs"));
    Ok(node)
}

/// The registration in a file, as JSON; nothing when the server could not use it, which has been said then.
fn read(mut program: Command, file: &Path) -> Result<Option<Vec<u8>>> {
    let file = env::current_dir().context("the current folder is gone")?.join(file);
    let output = program.arg("read").arg("--file").arg(file).stderr(Stdio::inherit()).output();
    let output = output.context("cannot start Node")?;
    Ok((output.status.success() && usable(&output.stdout)?).then_some(output.stdout))
}

fn add(keeper: &mut Command, registration: &[u8]) -> Result<bool> {
    let mut child = keeper.arg("add").stdin(Stdio::piped()).spawn().context("cannot start Node")?;
    // A program that has ended says itself why.
    let _ = child.stdin.take().context("Node has no stdin")?.write_all(registration);
    Ok(child.wait()?.success())
}

/// Whether the server can use the expressions of a registration; says which it cannot.
fn usable(registration: &[u8]) -> Result<bool> {
    let registration = serde_json::from_slice(registration).context("what was read is not JSON")?;
    let complaints = complaints(&registration);
    for complaint in &complaints {
        say(format_args!("error: {complaint}"));
    }
    Ok(complaints.is_empty())
}

/// What is wrong with the expressions, as `shared/model/src/appservice.rs` compiles them.
fn complaints(registration: &Json) -> Vec<String> {
    let kinds = registration.get("namespaces").and_then(Json::as_object).into_iter().flatten();
    let namespaces = kinds.flat_map(|(kind, list)| list.as_array().into_iter().flatten().map(move |one| (kind, one)));
    let refusal = |(kind, namespace): (&String, &Json)| {
        let text = namespace.get("regex").and_then(Json::as_str)?;
        let error = Regex::new(&format!("^(?:{text})")).err()?;
        Some(format!("namespaces.{kind}: the server cannot use the expression {text:?}: {error}"))
    };
    namespaces.filter_map(refusal).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(words: &[&str]) -> Result<Options> {
        Options::parse(lexopt::Parser::from_args(words))
    }

    #[test]
    fn what_is_meant_is_said_in_full() {
        assert!(matches!(parse(&["add", "a.yaml"]).expect("add").deed, Deed::Add { replace: false, .. }));
        assert!(matches!(parse(&["add", "--replace", "a"]).expect("replace").deed, Deed::Add { replace: true, .. }));
        let Options { deed, deployment, .. } = parse(&["remove", "irc", "--deployment", "blue"]).expect("remove");
        assert!(matches!(deed, Deed::Remove { id } if id == "irc") && deployment.as_deref() == Some("blue"));
        for words in [&["add"][..], &["remove"], &["list", "irc"], &["list", "--replace"], &["change", "irc"], &[]] {
            assert!(parse(words).is_err(), "{words:?}");
        }
    }

    #[test]
    fn expressions_that_the_server_cannot_use_are_named() {
        let of = |regex: &str| complaints(&json!({ "namespaces": { "users": [{ "regex": regex }], "rooms": [] } }));
        for regex in [r"@irc_.*", r"^@telegram_.*:example\.com$", r"@(a|b)\d{1,6}:.*", ""] {
            assert_eq!(of(regex), Vec::<String>::new(), "{regex}");
        }
        for regex in [r"@(?!admin).*", r"(?<=@)irc", r"@\p{L}+", "@irc_(", "@a{1000000}", r"(.)\1"] {
            assert!(of(regex).iter().all(|complaint| complaint.contains("namespaces.users")), "{regex}");
            assert_eq!(of(regex).len(), 1, "{regex}");
        }
    }
}
