//! SHA-256 over files, to know whether something must be done again.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

/// Folders that hold results, not sources.
const RESULTS: [&str; 3] = ["build", "target", "node_modules"];

/// Hash of a text together with names and contents of files and whole folders.
pub(crate) fn fingerprint(salt: &str, root: &Path, entries: &[&str]) -> Result<String> {
    let mut files = Vec::new();
    for entry in entries {
        collect(&root.join(entry), &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    add(&mut hash, salt.as_bytes());
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file);
        add(&mut hash, name.as_os_str().as_encoded_bytes());
        add(&mut hash, &fs::read(&file).with_context(|| format!("cannot read {}", file.display()))?);
    }
    Ok(STANDARD_NO_PAD.encode(hash.finalize()))
}

/// Length first, so that no two lists of parts give the same bytes.
fn add(hash: &mut Sha256, part: &[u8]) {
    hash.update((part.len() as u64).to_le_bytes());
    hash.update(part);
}

fn collect(path: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.push(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))? {
        let entry = entry?;
        let name = entry.file_name();
        if !RESULTS.iter().any(|result| name == *result) {
            collect(&entry.path(), files)?;
        }
    }
    Ok(())
}

/// Whether a stamp file holds exactly this text.
pub(crate) fn is_stamped(stamp: &Path, text: &str) -> bool {
    fs::read_to_string(stamp).is_ok_and(|found| found == text)
}

pub(crate) fn write_stamp(stamp: &Path, text: &str) -> Result<()> {
    fs::write(stamp, text).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_with_salt_name_and_content_only() {
        let root = std::env::temp_dir().join(format!("tern-fingerprint-{}", std::process::id()));
        fs::create_dir_all(root.join("a/build")).expect("temporary folder");
        fs::write(root.join("a/one"), "1").expect("write");
        let print = |salt: &str| fingerprint(salt, &root, &["a"]).expect("readable");
        let first = print("x");
        assert_ne!(first, print("y"));
        fs::write(root.join("a/build/result"), "new").expect("write");
        assert_eq!(first, print("x"));
        fs::write(root.join("a/one"), "2").expect("write");
        assert_ne!(first, print("x"));
        fs::remove_dir_all(root).expect("clean up");
    }
}
