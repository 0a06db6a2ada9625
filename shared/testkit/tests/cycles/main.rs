//! No circles among the files of a crate: whoever reads one can read first what it needs.
//!
//! **What is an import.** A file imports another when it names an item that the other defines: by `use`, or by a path in its
//! code (`crate::…`, `self::…`, `super::…`, or beginning with a module or a name that `use` brought). The item counts for the
//! file that defines it, through whatever re-exports the path leads; what a macro defines, for the file that calls the macro.
//!
//! **What is none.**
//! - `mod`, naming a module without anything in it, a re-export of what the file itself does not use, and calls of methods.
//! - A *type* (struct, enum, union, trait or alias) that is defined by an ancestor of the module: the actor in `lib.rs`
//!   whose methods are written in many files, the error that a family shares. A child needs no leave to know whose part it
//!   is. A function, constant, static or macro of an ancestor is an import like any other, and so is whatever an ancestor
//!   takes from a child, or a child from its sibling.
//! - `#[cfg(test)]`.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test stops at the first surprise")]

mod circle;
mod resolve;
mod source;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    process::Command,
};

use circle::circles;
use resolve::{Import, imports};
use serde_json::Value;
use source::Modules;

/// Circles that are known and still to be mended: crate, and every file of the circle. One that is mended, or has become
/// another, fails as well.
const KNOWN: [(&str, &[&str]); 1] = [("tern-user-hub", &["grants.rs", "refresh.rs", "sessions.rs"])];

/// The roots of the crates: name of the package and of the target, and the file.
fn roots() -> Vec<(String, PathBuf)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let metadata = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(&root)
        .output()
        .unwrap();
    let metadata: Value = serde_json::from_slice(&metadata.stdout).unwrap();
    let targets = metadata["packages"].as_array().unwrap().iter().flat_map(|package| {
        let targets = package["targets"].as_array().unwrap().iter();
        targets.map(move |target| (package["name"].as_str().unwrap(), target))
    });
    let shipped = targets.filter(|(_, target)| {
        let kinds = target["kind"].as_array().unwrap();
        kinds.iter().any(|kind| ["lib", "rlib", "cdylib", "bin"].contains(&kind.as_str().unwrap()))
    });
    shipped.map(|(name, target)| (name.to_owned(), target["src_path"].as_str().unwrap().into())).collect()
}

/// Every circle of every crate: the files, and how one is led around.
fn found() -> BTreeMap<(String, Vec<String>), String> {
    let mut found = BTreeMap::new();
    for (name, root) in roots() {
        for circle in circles(&imports(&Modules::read(&root))) {
            found.insert((name.clone(), circle.files), circle.told);
        }
    }
    found
}

#[test]
fn no_file_is_needed_by_what_it_needs() {
    let known = KNOWN.map(|(name, files)| (name.to_owned(), files.iter().map(|&file| file.to_owned()).collect()));
    let known: BTreeSet<(String, Vec<String>)> = known.into_iter().collect();
    let found = found();
    let new: Vec<_> = found.iter().filter(|(circle, _)| !known.contains(circle)).collect();
    let told = new
        .iter()
        .map(|((name, files), told)| format!("{name}, {} files:\n{told}  all of them: {files:?}\n", files.len()));
    assert!(new.is_empty(), "files in circles\n{}", told.collect::<String>());
    let gone: Vec<_> = known.iter().filter(|circle| !found.contains_key(circle)).collect();
    assert!(gone.is_empty(), "no longer so, take it out of the list: {gone:?}");
}

/// What the files of a crate import of each other, as `from to name`.
fn read(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(file, text)| (PathBuf::from(file), (*text).to_owned())).collect();
    let told = |import: &Import| format!("{} {} {}", import.from, import.to, import.name);
    imports(&Modules::of(Path::new("lib.rs"), &files)).iter().map(told).collect()
}

#[test]
fn what_a_file_names_of_another_is_an_import() {
    let lib = ("lib.rs", "mod a; mod b; pub use b::{B, deep::C};");
    let b = ("b.rs", "pub mod deep; pub struct B; pub fn f() {} make! { Made }");
    let deep = ("b/deep.rs", "pub struct C;");
    for (text, expected) in [
        ("use crate::b::{self, B};", vec!["a.rs b.rs B"]),
        ("use crate::{B as D, C};", vec!["a.rs b.rs B", "a.rs b/deep.rs C"]),
        ("fn g() { super::b::f(); }", vec!["a.rs b.rs f"]),
        ("use super::b as other; fn g() { say!(other::f()); }", vec!["a.rs b.rs f"]),
        ("use super::b::Made; fn g() -> crate::b::deep::C { b.f() }", vec!["a.rs b.rs Made", "a.rs b/deep.rs C"]),
        ("#[cfg(test)] mod tests { use crate::b::f; } use serde::b::B;", vec![]),
    ] {
        assert_eq!(read(&[lib, ("a.rs", text), b, deep]), expected, "{text}");
    }
}

#[test]
fn a_child_may_know_the_types_of_its_ancestors() {
    let a = ("a.rs", "use super::{Actor, f}; impl Actor { fn go(&self) { self.more(); } }");
    let lib = ("lib.rs", "mod a; pub struct Actor; fn f() { Actor.go(); }");
    assert_eq!(read(&[lib, a]), ["a.rs lib.rs f"]);
    let lib = ("lib.rs", "mod a; pub use a::A; pub struct Actor(A); pub(crate) fn f() {}");
    let a = ("a.rs", "use super::{Actor, f}; pub struct A;");
    assert_eq!(read(&[lib, a]), ["a.rs lib.rs f", "lib.rs a.rs A"]);
    let circle = circles(&imports(&Modules::of(
        Path::new("lib.rs"),
        &[lib, a].map(|(file, text)| (PathBuf::from(file), text.to_owned())).into_iter().collect(),
    )));
    assert_eq!(circle[0].told, "  a.rs\n    → lib.rs (f)\n    → a.rs (A)\n");
}
