//! The folder of a deployment, `.deploy/NAME`: everything that cannot be read back from Cloudflare.
//!
//! | file | what |
//! |---|---|
//! | `settings.json` | server name, address, account; fixed by the first command |
//! | `secrets.json` | secrets of the public worker: the only copy of the signing key outside Cloudflare |
//! | `vars.json` | variables that the operator sets, if there is one |
//! | `record.json` | which build was begun and which is deployed |
//! | `proxy.json`, `storage-worker.json` | configurations for wrangler, written anew each time |

use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::keys::{looks_like_server_name, write_private};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Settings {
    pub(crate) server_name: String,
    /// Without a slash at the end.
    pub(crate) url: String,
    /// Of Cloudflare; needed by those who have several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) account: Option<String>,
}

/// What the command line says of [`Settings`].
#[derive(Default)]
pub(crate) struct Wanted {
    pub(crate) server_name: Option<String>,
    pub(crate) url: Option<String>,
    pub(crate) account: Option<String>,
}

pub(crate) struct Folder {
    pub(crate) name: String,
    pub(crate) path: PathBuf,
}

impl Folder {
    pub(crate) fn new(parent: &Path, name: &str) -> Result<Self> {
        let allowed = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '-';
        // Names of workers and buckets are made of it; the longest has 63 characters.
        if !(1..=30).contains(&name.len()) || !name.chars().all(allowed) || name.starts_with('-') || name.ends_with('-')
        {
            bail!("{name} cannot name a deployment: up to 30 small letters, digits and hyphens");
        }
        Ok(Self { name: name.to_owned(), path: parent.join(name) })
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Makes the folder with its settings, or holds the given ones against those that are there.
    pub(crate) fn settle(&self, wanted: &Wanted) -> Result<Settings> {
        if let Some(settings) = self.read::<Settings>("settings.json")? {
            return settings.agrees_with(wanted).map(|()| settings);
        }
        let missing = "the first time, say `--server-name` (the part after the colon of user ids) and `--url`";
        let server_name = wanted.server_name.clone().context(missing)?;
        let url = wanted.url.as_deref().context(missing)?.trim_end_matches('/').to_owned();
        if !looks_like_server_name(&server_name) {
            bail!("{server_name} is not a server name");
        }
        if host(&url).is_none() {
            bail!("{url} is not the address of a deployment: https:// and the name of a host");
        }
        if host(&url)
            .is_some_and(|host| host.ends_with(".workers.dev") && !host.starts_with(&format!("tern-{}.", self.name)))
        {
            bail!("under workers.dev the address of this deployment begins with tern-{}", self.name);
        }
        let settings = Settings { server_name, url, account: wanted.account.clone() };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.path).context("cannot make the folder")?;
        self.write("settings.json", &settings)?;
        Ok(settings)
    }

    pub(crate) fn settings(&self) -> Result<Settings> {
        let missing = || format!("{} is not the folder of a deployment", self.path.display());
        self.read("settings.json")?.with_context(missing)
    }

    pub(crate) fn variables(&self) -> Result<Map<String, Value>> {
        Ok(self.read("vars.json")?.unwrap_or_default())
    }

    pub(crate) fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.file(name);
        match fs::read_to_string(&path) {
            Ok(text) => Ok(Some(serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
        }
    }

    pub(crate) fn write(&self, name: &str, value: &impl Serialize) -> Result<()> {
        write_private(&self.file(name), &format!("{}\n", serde_json::to_string_pretty(value)?))
    }
}

impl Settings {
    /// The host that clients reach.
    pub(crate) fn host(&self) -> &str {
        host(&self.url).unwrap_or_default()
    }

    fn agrees_with(&self, wanted: &Wanted) -> Result<()> {
        if wanted.server_name.as_ref().is_some_and(|name| *name != self.server_name) {
            bail!("the server name is {} and can never change", self.server_name);
        }
        if wanted.url.as_ref().is_some_and(|url| url.trim_end_matches('/') != self.url) {
            bail!("the address is {}; change it in settings.json if it really moves", self.url);
        }
        if wanted.account.is_some() && wanted.account != self.account {
            bail!("this deployment belongs to another account (settings.json)");
        }
        Ok(())
    }
}

fn host(url: &str) -> Option<&str> {
    let host = url.strip_prefix("https://")?;
    let allowed = |char: char| char.is_ascii_alphanumeric() || ".-".contains(char);
    (host.contains('.') && host.chars().all(allowed)).then_some(host)
}
