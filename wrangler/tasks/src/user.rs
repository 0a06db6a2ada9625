//! `cargo xtask user …`: accounts and registration tokens of a running or stopped server.

use std::io::{IsTerminal as _, Write as _, stderr, stdin};
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};
use lexopt::prelude::*;
use serde_json::{Value as Json, json};

use crate::administration::{self, Call, Print, Server};
use crate::checkout::Checkout;
use crate::keys;
use crate::progress::Runner;

pub(crate) struct Options {
    /// What to do, such as `lock` or `token add`.
    verb: String,
    /// To whom or what.
    names: Vec<String>,
    admin: bool,
    erase: bool,
    keep_sessions: bool,
    search: Option<String>,
    uses: Option<u64>,
    expires: Option<u64>,
    server: Server,
}

impl Options {
    pub(crate) fn parse(mut arguments: lexopt::Parser) -> Result<Self> {
        let mut options = Self {
            verb: String::new(),
            names: Vec::new(),
            admin: false,
            erase: false,
            keep_sessions: false,
            search: None,
            uses: None,
            expires: None,
            server: Server::default(),
        };
        while let Some(argument) = arguments.next()? {
            match argument {
                Value(verb) if options.verb.is_empty() => options.verb = verb.string()?,
                Value(verb) if options.verb == "token" => options.verb = format!("token {}", verb.string()?),
                Value(name) => options.names.push(name.string()?),
                Long("admin") => options.admin = true,
                Long("erase") => options.erase = true,
                Long("keep-sessions") => options.keep_sessions = true,
                Long("search") => options.search = Some(arguments.value()?.string()?),
                Long("uses") => options.uses = Some(arguments.value()?.parse()?),
                Long("expires") => options.expires = Some(arguments.value()?.parse()?),
                Long("state") => options.server.state = Some(arguments.value()?.into()),
                Long("port") => options.server.port = Some(arguments.value()?.parse()?),
                other => return Err(other.unexpected().into()),
            }
        }
        Ok(options)
    }

    fn name(&self) -> Result<&str> {
        self.names.first().map(String::as_str).with_context(|| format!("`user {}` whom?", self.verb))
    }
}

pub(crate) fn run(checkout: &Checkout, runner: &Runner, options: &Options) -> Result<ExitCode> {
    administration::run(checkout, runner, &options.server, || call(options))
}

fn call(options: &Options) -> Result<Call> {
    let plain = |method, path: String, body: Option<Json>, print| Call { method, path, body, print, generated: None };
    let user = || Ok::<_, anyhow::Error>(format!("/users/{}", encoded(options.name()?)));
    let change = |body: Json| Ok::<_, anyhow::Error>(plain("PUT", user()?, Some(body), Print::Answer));
    Ok(match options.verb.as_str() {
        "add" => {
            let (password, generated) = password()?;
            let body = json!({ "localpart": options.name()?, "password": password, "admin": options.admin });
            Call { generated, ..plain("POST", "/users".to_owned(), Some(body), Print::UserId) }
        }
        "reset-password" => {
            let (password, generated) = password()?;
            let body = json!({ "password": password, "keep_sessions": options.keep_sessions });
            Call { generated, ..plain("PUT", format!("{}/password", user()?), Some(body), Print::Answer) }
        }
        "list" => {
            let search = options.search.as_deref().map(encoded).unwrap_or_default();
            plain("GET", format!("/users?limit=1000&search={search}"), None, Print::Lines("users"))
        }
        "show" => plain("GET", user()?, None, Print::Answer),
        "lock" => change(json!({ "locked": true }))?,
        "unlock" => change(json!({ "locked": false }))?,
        "suspend" => change(json!({ "suspended": true }))?,
        "unsuspend" => change(json!({ "suspended": false }))?,
        "deactivate" => {
            let body = json!({ "erase": options.erase });
            plain("POST", format!("{}/deactivate", user()?), Some(body), Print::Answer)
        }
        "sessions" => plain("GET", format!("{}/sessions", user()?), None, Print::Lines("sessions")),
        "sign-out" => {
            let device = options.names.get(1).map(|device| format!("/{}", encoded(device))).unwrap_or_default();
            plain("DELETE", format!("{}/sessions{device}", user()?), None, Print::Answer)
        }
        "audit" => plain("GET", "/audit".to_owned(), None, Print::Lines("entries")),
        verb => token_call(verb, options)?,
    })
}

fn token_call(verb: &str, options: &Options) -> Result<Call> {
    let path = "/registration_tokens".to_owned();
    let (method, path, body, print) = match verb {
        "token list" => ("GET", path, None, Print::Lines("registration_tokens")),
        "token add" => {
            let (token, uses, expires) = (options.names.first(), options.uses, options.expires);
            let body = json!({ "token": token, "uses_allowed": uses, "expires_in_s": expires });
            ("POST", path, Some(body), Print::Answer)
        }
        "token remove" => ("DELETE", format!("{path}/{}", encoded(options.name()?)), None, Print::Answer),
        other => bail!("there is no `user {other}`; `cargo xtask help` lists what there is"),
    };
    Ok(Call { method, path, body, print, generated: None })
}

/// Percent-encoded for a path or query.
fn encoded(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// The password, and a copy of it if we made it up.
fn password() -> Result<(String, Option<String>)> {
    let terminal = stdin().is_terminal();
    let typed = if terminal { ask()? } else { read_line()? };
    if !typed.is_empty() {
        return Ok((typed, None));
    }
    let made = keys::random_password()?;
    Ok((made.clone(), Some(made)))
}

fn ask() -> Result<String> {
    write!(stderr(), "Password (empty: make one): ")?;
    echo(false);
    let typed = read_line();
    echo(true);
    writeln!(stderr())?;
    typed
}

/// Where there is no `stty`, the password is seen while typed; nothing worse.
fn echo(on: bool) {
    let _ = Command::new("stty").arg(if on { "echo" } else { "-echo" }).status();
}

fn read_line() -> Result<String> {
    let mut line = String::new();
    stdin().read_line(&mut line).context("cannot read the password")?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
