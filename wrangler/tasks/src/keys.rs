//! Secrets of a server: made once, kept in its state folder, readable by the owner only.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use lexopt::{Arg, ValueExt as _};
use serde_json::{Value, json};

use crate::administration::{self, Call, Print, Server};
use crate::checkout::Checkout;
use crate::progress::Runner;

const KEY_ID_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Bytes from the operating system.
fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut bytes))
        .context("cannot read randomness from /dev/urandom")?;
    Ok(bytes)
}

/// Letters and digits, five bits each.
fn random_word<const N: usize>() -> Result<String> {
    let letters = random::<N>()?.map(|byte| KEY_ID_ALPHABET.get(usize::from(byte % 32)).copied());
    Ok(letters.into_iter().flatten().map(char::from).collect())
}

/// A password nobody has to remember: 100 bits.
pub(crate) fn random_password() -> Result<String> {
    random_word::<20>()
}

/// A fresh set of secrets.
pub(crate) fn generate(server_name: &str) -> Result<Value> {
    Ok(json!({
        "server_name": server_name,
        "signing_key": {
            "key_id": format!("ed25519:{}", random_word::<6>()?),
            "seed": STANDARD_NO_PAD.encode(random::<32>()?),
        },
        "token_key": STANDARD_NO_PAD.encode(random::<32>()?),
        "admin_token": STANDARD_NO_PAD.encode(random::<32>()?),
    }))
}

/// Makes the secrets on the first run. The server name is fixed then: users, rooms and signatures carry it.
pub(crate) fn ensure(state: &Path, wanted_name: Option<&str>, port: u16) -> Result<()> {
    // Everything users ever wrote will lie here.
    let created = DirBuilder::new().recursive(true).mode(0o700).create(state);
    created.with_context(|| format!("cannot create {}", state.display()))?;
    let path = state.join("keys.json");
    match fs::read_to_string(&path) {
        Ok(text) => check_name(&text, wanted_name).with_context(|| format!("in {}", path.display())),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let name = wanted_name.map_or_else(|| format!("localhost:{port}"), str::to_owned);
            if !looks_like_server_name(&name) {
                bail!("{name} is not a server name: a host name, with :PORT if it is not reached at the usual one");
            }
            write_private(&path, &format!("{:#}\n", generate(&name)?))
        }
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}

/// The characters of the grammar; the server itself checks the rest. A typo must not be fixed for ever.
pub(crate) fn looks_like_server_name(name: &str) -> bool {
    let allowed = |char: char| char.is_ascii_alphanumeric() || ".-:[]".contains(char);
    (1..=230).contains(&name.len()) && name.starts_with(|char: char| char != ':') && name.chars().all(allowed)
}

fn check_name(text: &str, wanted: Option<&str>) -> Result<()> {
    let keys: Value = serde_json::from_str(text)?;
    let name = keys.get("server_name").and_then(Value::as_str).context("server_name is missing")?;
    match wanted {
        Some(wanted) if wanted != name => {
            bail!("this folder belongs to the server {name}, whose name cannot change to {wanted}; use another --state")
        }
        _ => Ok(()),
    }
}

/// Whole or not at all: a half-written file would lock a server out of its own data.
pub(crate) fn write_private(path: &Path, text: &str) -> Result<()> {
    let draft = path.with_extension("draft");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)
        .with_context(|| format!("cannot write {}", draft.display()))?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

/// `cargo xtask keys`, and `cargo xtask keys rotate`.
pub(crate) fn run(checkout: &Checkout, runner: &Runner, mut arguments: lexopt::Parser) -> Result<ExitCode> {
    let (mut rotate, mut anew, mut server) = (false, false, Server::default());
    while let Some(argument) = arguments.next()? {
        match argument {
            Arg::Value(verb) if verb == "rotate" => rotate = true,
            Arg::Long("anew") => anew = true,
            Arg::Long("state") => server.state = Some(arguments.value()?.into()),
            Arg::Long("port") => server.port = Some(arguments.value()?.parse()?),
            other => return Err(other.unexpected().into()),
        }
    }
    if !rotate {
        println!("{:#}", deployment_secrets()?);
        return Ok(ExitCode::SUCCESS);
    }
    administration::run(checkout, runner, &server, || {
        let (path, body) = ("/oauth/keys".to_owned(), Some(json!({ "anew": anew })));
        Ok(Call { method: "POST", path, body, print: Print::Lines("keys"), generated: None })
    })
}

/// Fresh secrets of the public worker, in the form `wrangler secret bulk` reads.
pub(crate) fn deployment_secrets() -> Result<Value> {
    let keys = generate("")?;
    let text = |pointer: &str| keys.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    Ok(json!({
        "SIGNING_KEY": format!("{} {}", text("/signing_key/key_id"), text("/signing_key/seed")),
        "TOKEN_KEY": text("/token_key"),
        "ADMIN_TOKEN": text("/admin_token"),
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn keys_are_made_once_and_private() {
        let state = std::env::temp_dir().join(format!("tern-keys-{}", std::process::id()));
        ensure(&state, None, 1234).expect("first run");
        let path = state.join("keys.json");
        let first = fs::read_to_string(&path).expect("written");
        assert!(first.contains("\"localhost:1234\""));
        assert_eq!(fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        ensure(&state, None, 4321).expect("second run");
        assert_eq!(fs::read_to_string(&path).expect("kept"), first);
        assert!(ensure(&state, Some("other.example"), 1234).is_err());
        assert!(ensure(&state.join("new"), Some("https://example.org"), 1234).is_err());
        fs::remove_dir_all(state).expect("clean up");
    }

    #[test]
    fn key_ids_and_seeds_have_their_form() {
        let keys = generate("example.org").expect("randomness");
        let key_id = keys.pointer("/signing_key/key_id").and_then(Value::as_str).expect("key id");
        assert_eq!(key_id.len(), "ed25519:".len() + 6);
        let seed = keys.pointer("/signing_key/seed").and_then(Value::as_str).expect("seed");
        assert_eq!(STANDARD_NO_PAD.decode(seed).expect("base64").len(), 32);
    }
}
