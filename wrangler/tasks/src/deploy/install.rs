//! From nothing, or from wherever an earlier command was cut, to a running deployment.
//!
//! What is there already is asked of Cloudflare at each step, never remembered; so the command may end anywhere.

use anyhow::{Result, bail};
use serde_json::json;

use super::cloudflare::{Wrangler, id_of};
use super::config::{self, Ids, Names};
use super::folder::{Folder, Settings};
use super::revision::{Record, Revision};
use crate::checkout::Checkout;
use crate::keys;
use crate::progress::say;

/// A custom domain gets its certificate meanwhile.
pub(crate) const PATIENCE_S: u32 = 600;

pub(crate) struct Install<'a> {
    pub(crate) checkout: &'a Checkout,
    pub(crate) folder: &'a Folder,
    pub(crate) settings: &'a Settings,
    pub(crate) names: &'a Names,
    pub(crate) wrangler: Wrangler<'a>,
    pub(crate) revision: Revision,
    /// Whether the address answers within [`PATIENCE_S`].
    pub(crate) answers: &'a dyn Fn(&str) -> Result<bool>,
}

impl Install<'_> {
    /// Databases before code, and of the code the private worker first, since the public one calls it.
    pub(crate) fn run(&self) -> Result<()> {
        self.ensure_secrets()?;
        let ids = Ids { databases: self.ensure_databases()?, namespace: self.ensure_namespace()? };
        self.ensure_bucket()?;
        config::write(self.checkout, self.folder, self.settings, self.names, &ids)?;
        let deployed = Record::read(self.folder)?.deployed;
        self.folder.write("record.json", &Record { begun: Some(self.revision.clone()), deployed })?;
        for (binding, name) in &self.names.databases {
            say(format_args!("migrations of {name}"));
            self.wrangler.migrate(binding, "storage-worker.json")?;
        }
        say(format_args!("deploying {}", self.names.storage));
        self.wrangler.deploy("storage-worker.json", None)?;
        say(format_args!("deploying {}", self.names.proxy));
        self.wrangler.deploy("proxy.json", Some("secrets.json"))?;
        self.await_address()?;
        let revision = Some(self.revision.clone());
        self.folder.write("record.json", &Record { begun: revision.clone(), deployed: revision })
    }

    /// Made once. A server whose secrets are elsewhere must not get others: its signatures and sessions would be lost.
    fn ensure_secrets(&self) -> Result<()> {
        let path = self.folder.file("secrets.json");
        if path.exists() {
            return Ok(());
        }
        if self.wrangler.has_worker(&self.names.proxy)? {
            bail!(
                "{} runs already, but its secrets are not here; put your copy of secrets.json at {}",
                self.names.proxy,
                path.display()
            );
        }
        self.folder.write("secrets.json", &keys::deployment_secrets()?)?;
        say(format_args!(
            "secrets are in {}.\nKEEP A COPY OFFLINE, now: without it this server can never be moved or restored.",
            path.display()
        ));
        Ok(())
    }

    fn ensure_databases(&self) -> Result<Vec<(String, String)>> {
        let found = self.wrangler.databases()?;
        let is_missing = |name: &&String| !found.iter().any(|(known, _)| known == *name);
        let missing: Vec<_> = self.names.databases.iter().map(|(_, name)| name).filter(is_missing).collect();
        for name in &missing {
            say(format_args!("creating database {name}"));
            self.wrangler.create_database(name)?;
        }
        let found = if missing.is_empty() { found } else { self.wrangler.databases()? };
        self.names.databases.iter().map(|(_, name)| Ok((name.clone(), id_of(&found, name)?))).collect()
    }

    fn ensure_namespace(&self) -> Result<String> {
        let title = &self.names.namespace;
        if let Ok(id) = id_of(&self.wrangler.namespaces()?, title) {
            return Ok(id);
        }
        say(format_args!("creating namespace {title}"));
        self.wrangler.create_namespace(title)?;
        id_of(&self.wrangler.namespaces()?, title)
    }

    fn ensure_bucket(&self) -> Result<()> {
        let name = &self.names.bucket;
        if self.wrangler.has_bucket(name)? {
            return Ok(());
        }
        say(format_args!("creating bucket {name}"));
        self.wrangler.create_bucket(name)
    }

    fn await_address(&self) -> Result<()> {
        let url = &self.settings.url;
        say(format_args!("waiting for {url}"));
        if (self.answers)(url)? {
            return Ok(());
        }
        bail!("{url} does not answer after {PATIENCE_S} s; `cargo xtask doctor {url}` says why. Then run this again")
    }
}

/// Takes down what [`Install`] made, callers before what they call. Each part is looked for first, so it may be cut as well.
pub(crate) fn destroy(folder: &Folder, names: &Names, wrangler: &Wrangler<'_>) -> Result<()> {
    for worker in [&names.proxy, &names.storage] {
        if wrangler.has_worker(worker)? {
            say(format_args!("deleting {worker}"));
            wrangler.delete_worker(worker)?;
        }
    }
    let found = wrangler.databases()?;
    for (_, name) in names.databases.iter().filter(|(_, name)| id_of(&found, name).is_ok()) {
        say(format_args!("deleting database {name}"));
        wrangler.delete_database(name)?;
    }
    if let Ok(id) = id_of(&wrangler.namespaces()?, &names.namespace) {
        say(format_args!("deleting namespace {}", names.namespace));
        wrangler.delete_namespace(&id)?;
    }
    if wrangler.has_bucket(&names.bucket)? {
        say(format_args!(
            "deleting bucket {} (one with media has to be emptied first, on the dashboard)",
            names.bucket
        ));
        wrangler.delete_bucket(&names.bucket)?;
    }
    folder.write("record.json", &json!({}))
}
