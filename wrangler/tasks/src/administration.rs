//! One request to the administration interface of a running server, or of a stopped one that is started for a moment.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::{ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value as Json;

use crate::checkout::Checkout;
use crate::progress::Runner;
use crate::script::{script, state_folder};
use crate::tools::Toolbox;
use crate::workers::{self, Profile};

/// Which server.
#[derive(Default)]
pub(crate) struct Server {
    pub(crate) state: Option<PathBuf>,
    /// Where a stopped one is started.
    pub(crate) port: Option<u16>,
}

/// A request, and what to print of its answer.
pub(crate) struct Call {
    pub(crate) method: &'static str,
    pub(crate) path: String,
    pub(crate) body: Option<Json>,
    pub(crate) print: Print,
    /// A password that was made up, to be told.
    pub(crate) generated: Option<String>,
}

#[derive(Clone, Copy)]
pub(crate) enum Print {
    /// The field `user_id`.
    UserId,
    /// One JSON object a line, of the list in this field.
    Lines(&'static str),
    /// The answer, if it says anything.
    Answer,
}

/// `call` is made once it is sure that there is a server.
pub(crate) fn run(
    checkout: &Checkout,
    runner: &Runner,
    server: &Server,
    call: impl FnOnce() -> Result<Call>,
) -> Result<ExitCode> {
    let state = state_folder(checkout, server.state.clone())?;
    if !state.join("keys.json").is_file() {
        bail!("{} is not the folder of a server; start one with `cargo xtask dev`", state.display());
    }
    let call = call()?;
    let tools = Toolbox::ensure(checkout, runner, &[])?;
    workers::build_if_missing(checkout, runner, &tools, Profile::Dev)?;

    let mut program = script(checkout, &tools, "admin.mjs", &state);
    program.args(["--method", call.method, "--path", &call.path]);
    if let Some(port) = server.port {
        program.args(["--port", &port.to_string()]);
    }
    let mut child = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start Node")?;
    let mut input = child.stdin.take().context("Node has no stdin")?;
    input.write_all(call.body.as_ref().map(Json::to_string).unwrap_or_default().as_bytes())?;
    drop(input);
    let output = child.wait_with_output()?;
    if !output.status.success() {
        return Ok(ExitCode::FAILURE);
    }
    print(call.print, &serde_json::from_slice(&output.stdout).context("the answer is not JSON")?);
    if let Some(password) = call.generated {
        println!("password: {password}");
    }
    Ok(ExitCode::SUCCESS)
}

fn print(print: Print, answer: &Json) {
    match print {
        Print::UserId => println!("{}", answer.get("user_id").and_then(Json::as_str).unwrap_or_default()),
        Print::Lines(field) => {
            for row in answer.get(field).and_then(Json::as_array).into_iter().flatten() {
                println!("{row}");
            }
        }
        Print::Answer if answer.as_object().is_some_and(serde_json::Map::is_empty) => {}
        Print::Answer => println!("{answer}"),
    }
}
