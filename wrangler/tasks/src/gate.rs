//! The size gate: how many bytes of wasm a cold start has to fetch.

use std::fs;
use std::io::Write as _;

use anyhow::{Context, Result, bail};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::checkout::Checkout;
use crate::progress::say;

const BUDGETS: &str = "benches/budgets.toml";
/// Worker folder and the key of its ceiling in the `[wasm]` table.
const CEILINGS: [(&str, &str); 2] = [("proxy", "proxy_gzip"), ("storage-worker", "storage_gzip")];

/// Compares both release builds with their ceilings.
pub(crate) fn check(checkout: &Checkout) -> Result<()> {
    let path = checkout.path(BUDGETS);
    let budgets = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut over = Vec::new();
    for (worker, key) in CEILINGS {
        let ceiling = ceiling(&budgets, key).with_context(|| format!("no {key} in [wasm] of {BUDGETS}"))?;
        let size = gzip_size(&checkout.path(worker).join("build/index_bg.wasm"))?;
        say(format_args!("{worker}: {size} bytes gzip, ceiling {ceiling}"));
        if size > ceiling {
            over.push(format!("{worker} is {} bytes over its ceiling {key}", size - ceiling));
        }
    }
    if over.is_empty() { Ok(()) } else { bail!(over.join("; ")) }
}

fn gzip_size(wasm: &std::path::Path) -> Result<usize> {
    let bytes = fs::read(wasm).with_context(|| format!("cannot read {}", wasm.display()))?;
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(&bytes)?;
    Ok(encoder.finish()?.len())
}

/// A whole number in the `[wasm]` table. The file is ours, so the plain forms of TOML are enough.
fn ceiling(budgets: &str, key: &str) -> Option<usize> {
    let table = budgets.lines().skip_while(|line| line.trim() != "[wasm]").skip(1);
    let mut lines = table.take_while(|line| !line.trim_start().starts_with('['));
    let value = lines.find_map(|line| line.split_once('=').filter(|(name, _)| name.trim() == key))?.1;
    value.split('#').next()?.trim().replace('_', "").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::ceiling;

    #[test]
    fn reads_only_the_wasm_table() {
        let budgets =
            "[send]\nproxy_gzip = 1\n[wasm]\n# note\nproxy_gzip = 1_258_291 # 1.2 MiB\n[x]\nstorage_gzip = 2\n";
        assert_eq!(ceiling(budgets, "proxy_gzip"), Some(1_258_291));
        assert_eq!(ceiling(budgets, "storage_gzip"), None);
    }
}
