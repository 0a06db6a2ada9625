//! What a deployment asks of Cloudflare, by the pinned wrangler: each a command whose answer is read, never guessed.

use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

/// Of R2: there is no such bucket.
const NO_BUCKET: &str = "[code: 10006]";
/// How much of a failed command's output is shown.
const SHOWN_LINES: usize = 30;

/// Runs wrangler in the folder of a deployment.
pub(crate) struct Wrangler<'a> {
    /// Makes a command to which only arguments are added.
    pub(crate) program: &'a dyn Fn() -> Command,
}

struct Reply {
    succeeded: bool,
    stdout: String,
    /// Both streams, for people and for the codes of errors.
    all: String,
}

impl Wrangler<'_> {
    fn ask(&self, arguments: &[&str]) -> Result<Reply> {
        let mut program = (self.program)();
        let output = program.args(arguments).stdin(Stdio::null()).output().context("cannot start wrangler")?;
        let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
        let all = format!("{stdout}{}", String::from_utf8_lossy(&output.stderr));
        Ok(Reply { succeeded: output.status.success(), stdout, all })
    }

    /// Fails with the end of the output when the command fails.
    fn run(&self, arguments: &[&str]) -> Result<Reply> {
        let reply = self.ask(arguments)?;
        if reply.succeeded { Ok(reply) } else { Err(failure(arguments, &reply)) }
    }

    fn list(&self, arguments: &[&str]) -> Result<Vec<Value>> {
        let reply = self.run(arguments)?;
        // Notices of wrangler may come before it.
        let json = reply.stdout.find('[').and_then(|start| reply.stdout.get(start..)).unwrap_or_default();
        serde_json::from_str(json).with_context(|| format!("`wrangler {}` printed no list", arguments.join(" ")))
    }

    pub(crate) fn check_signed_in(&self) -> Result<()> {
        if self.ask(&["whoami", "--json"])?.succeeded {
            return Ok(());
        }
        bail!("Cloudflare does not know you: `cargo xtask wrangler login`, or set CLOUDFLARE_API_TOKEN")
    }

    /// The id of each database by its name.
    pub(crate) fn databases(&self) -> Result<Vec<(String, String)>> {
        Ok(pairs(&self.list(&["d1", "list", "--json"])?, "name", "uuid"))
    }

    pub(crate) fn create_database(&self, name: &str) -> Result<()> {
        self.run(&["d1", "create", name]).map(drop)
    }

    pub(crate) fn delete_database(&self, name: &str) -> Result<()> {
        self.run(&["d1", "delete", name, "--skip-confirmation"]).map(drop)
    }

    /// The id of each KV namespace by its title.
    pub(crate) fn namespaces(&self) -> Result<Vec<(String, String)>> {
        Ok(pairs(&self.list(&["kv", "namespace", "list"])?, "title", "id"))
    }

    pub(crate) fn create_namespace(&self, title: &str) -> Result<()> {
        self.run(&["kv", "namespace", "create", title]).map(drop)
    }

    pub(crate) fn delete_namespace(&self, id: &str) -> Result<()> {
        self.run(&["kv", "namespace", "delete", "--namespace-id", id, "--skip-confirmation"]).map(drop)
    }

    /// Asked one by one, for a list of buckets has only the first page.
    pub(crate) fn has_bucket(&self, name: &str) -> Result<bool> {
        let arguments = ["r2", "bucket", "info", name, "--json"];
        let reply = self.ask(&arguments)?;
        match reply.succeeded {
            false if reply.all.contains(NO_BUCKET) => Ok(false),
            false => Err(failure(&arguments, &reply)),
            true => Ok(true),
        }
    }

    pub(crate) fn create_bucket(&self, name: &str) -> Result<()> {
        self.run(&["r2", "bucket", "create", name]).map(drop)
    }

    pub(crate) fn delete_bucket(&self, name: &str) -> Result<()> {
        self.run(&["r2", "bucket", "delete", name]).map(drop)
    }

    pub(crate) fn has_worker(&self, name: &str) -> Result<bool> {
        let arguments = ["secret", "list", "--name", name];
        let reply = self.ask(&arguments)?;
        match reply.succeeded {
            false if reply.all.contains(&format!("Worker \"{name}\" not found")) => Ok(false),
            false => Err(failure(&arguments, &reply)),
            true => Ok(true),
        }
    }

    pub(crate) fn delete_worker(&self, name: &str) -> Result<()> {
        self.run(&["delete", name, "--force"]).map(drop)
    }

    pub(crate) fn migrate(&self, binding: &str, config: &str) -> Result<()> {
        self.run(&["d1", "migrations", "apply", binding, "--remote", "--config", config]).map(drop)
    }

    pub(crate) fn deploy(&self, config: &str, secrets: Option<&str>) -> Result<()> {
        let mut arguments = vec!["deploy", "--config", config];
        arguments.extend(secrets.into_iter().flat_map(|file| ["--secrets-file", file]));
        self.run(&arguments).map(drop)
    }
}

fn failure(arguments: &[&str], reply: &Reply) -> anyhow::Error {
    let skipped = reply.all.lines().count().saturating_sub(SHOWN_LINES);
    let end: Vec<_> = reply.all.lines().skip(skipped).collect();
    anyhow::anyhow!("`wrangler {}` failed:\n{}", arguments.join(" "), end.join("\n"))
}

fn pairs(rows: &[Value], name: &str, id: &str) -> Vec<(String, String)> {
    let text = |row: &Value, field: &str| Some(row.get(field)?.as_str()?.to_owned());
    rows.iter().filter_map(|row| Some((text(row, name)?, text(row, id)?))).collect()
}

/// The id of what was made a moment ago.
pub(crate) fn id_of(found: &[(String, String)], name: &str) -> Result<String> {
    match found.iter().find(|(known, _)| known == name) {
        Some((_, id)) => Ok(id.clone()),
        None => bail!("{name} was made, but Cloudflare does not list it yet; run the command again"),
    }
}
