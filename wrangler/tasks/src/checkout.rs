//! Where things are in this checkout.

use std::env;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The checkout the runner works on.
pub(crate) struct Checkout {
    root: PathBuf,
}

impl Checkout {
    /// Cargo tells where this package is, also when the checkout was moved after a build.
    pub(crate) fn find() -> Result<Self> {
        let package =
            env::var_os("CARGO_MANIFEST_DIR").map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
        let root = package.ancestors().nth(2).context("the task runner is not two folders below a checkout")?;
        Ok(Self { root: root.to_path_buf() })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn path(&self, relative: &str) -> PathBuf {
        self.root.join(relative)
    }

    /// Installed tools; git ignores the folder.
    pub(crate) fn tools(&self) -> PathBuf {
        self.root.join(".tools")
    }

    pub(crate) fn wrangler(&self) -> PathBuf {
        self.root.join("wrangler")
    }

    pub(crate) fn npm_binary(&self, name: &str) -> PathBuf {
        self.wrangler().join("node_modules/.bin").join(name)
    }
}
