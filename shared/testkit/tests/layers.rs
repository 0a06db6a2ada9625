//! Who may import whom: the rings of `ARCHITECTURE.md`, compared with what `cargo metadata` says.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test stops at the first surprise")]

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    process::Command,
};

use serde_json::Value;

/// What each crate imports of ours. A crate that is not in the table is a surprise, too.
const RINGS: [(&str, &[&str]); 23] = [
    // 1: the domain.
    ("tern-model", &[]),
    ("tern-room", &["tern-model"]),
    ("tern-sync", &["tern-model"]),
    ("tern-auth", &["tern-model"]),
    ("tern-push", &["tern-model"]),
    ("tern-media", &["tern-model"]),
    ("tern-keys", &["tern-model"]),
    ("tern-federation", &["tern-model"]),
    ("tern-metrics", &[]),
    // 2: the contract.
    ("tern-ports", &["tern-model"]),
    // 3: the objects. No hub knows the other, and none knows what runs in the proxy.
    ("tern-object-kit", &["tern-model", "tern-ports"]),
    ("tern-room-hub", &["tern-model", "tern-object-kit", "tern-ports", "tern-room"]),
    (
        "tern-user-hub",
        &[
            "tern-auth",
            "tern-keys",
            "tern-model",
            "tern-object-kit",
            "tern-ports",
            "tern-push",
            "tern-room",
            "tern-sync",
        ],
    ),
    ("tern-small-objects", &["tern-auth", "tern-federation", "tern-model", "tern-object-kit", "tern-ports"]),
    // 4: what runs in the proxy. It speaks with objects by the contract alone.
    (
        "tern-edge",
        &[
            "tern-auth",
            "tern-federation",
            "tern-keys",
            "tern-media",
            "tern-model",
            "tern-ports",
            "tern-push",
            "tern-room",
            "tern-sync",
        ],
    ),
    // 5: the shells. The storage worker cannot judge an event or a token, since it cannot import the rules.
    (
        "tern-proxy",
        &[
            "tern-auth",
            "tern-edge",
            "tern-media",
            "tern-metrics",
            "tern-model",
            "tern-object-kit",
            "tern-ports",
            "tern-room-hub",
            "tern-small-objects",
            "tern-user-hub",
        ],
    ),
    ("tern-thumbnail", &["tern-media"]),
    ("tern-storage", &["tern-media", "tern-metrics", "tern-model", "tern-object-kit", "tern-ports", "tern-thumbnail"]),
    ("tern-storage-worker", &["tern-model", "tern-ports", "tern-storage"]),
    // Beside the rings.
    (
        "tern-testkit",
        &[
            "tern-edge",
            "tern-federation",
            "tern-model",
            "tern-ports",
            "tern-room-hub",
            "tern-small-objects",
            "tern-storage",
            "tern-user-hub",
        ],
    ),
    (
        "tern-fuzz",
        &[
            "tern-auth",
            "tern-federation",
            "tern-media",
            "tern-model",
            "tern-ports",
            "tern-push",
            "tern-room",
            "tern-sync",
        ],
    ),
    (
        "tern-benches",
        &[
            "tern-auth",
            "tern-edge",
            "tern-model",
            "tern-ports",
            "tern-push",
            "tern-room",
            "tern-room-hub",
            "tern-small-objects",
            "tern-storage",
            "tern-sync",
            "tern-testkit",
            "tern-user-hub",
        ],
    ),
    ("tern-tasks", &[]),
];

/// Crates of the platform, and who may name them.
const PLATFORM: [&str; 6] = ["worker", "worker-macros", "wasm-bindgen", "wasm-bindgen-futures", "js-sys", "web-sys"];
const SHELLS: [&str; 2] = ["tern-proxy", "tern-storage-worker"];

/// Executors that would not run on the platform.
const FOREIGN: [&str; 3] = ["tokio", "async-std", "smol"];

struct Package {
    folder: String,
    /// Normal and build dependencies, on any target.
    needs: BTreeSet<String>,
    /// Development dependencies.
    tests_with: BTreeSet<String>,
}

fn workspace() -> BTreeMap<String, Package> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap();
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(&root)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    packages.iter().map(|package| read(package, &root)).collect()
}

fn read(package: &Value, root: &Path) -> (String, Package) {
    let manifest = Path::new(package["manifest_path"].as_str().unwrap());
    let folder = manifest.strip_prefix(root).unwrap().parent().unwrap().display().to_string();
    let dependencies = |dev: bool| {
        let all = package["dependencies"].as_array().unwrap().iter();
        let wanted = all.filter(|dependency| (dependency["kind"] == "dev") == dev);
        wanted.map(|dependency| dependency["name"].as_str().unwrap().to_owned()).collect()
    };
    let package_name = package["name"].as_str().unwrap().to_owned();
    (package_name, Package { folder, needs: dependencies(false), tests_with: dependencies(true) })
}

fn ours(names: &BTreeSet<String>) -> BTreeSet<&str> {
    names.iter().map(String::as_str).filter(|name| name.starts_with("tern-")).collect()
}

#[test]
fn crates_import_only_what_their_ring_may() {
    let rings: BTreeMap<_, _> = RINGS.into_iter().collect();
    for (name, package) in workspace() {
        let allowed = rings.get(name.as_str()).unwrap_or_else(|| panic!("{name} is in no ring: add it to the table"));
        let allowed: BTreeSet<_> = allowed.iter().copied().collect();
        let surplus: Vec<_> = ours(&package.needs).difference(&allowed).copied().collect();
        assert!(surplus.is_empty(), "{name} must not import {surplus:?}");
    }
}

#[test]
fn the_platform_is_reached_only_from_the_shells() {
    for (name, package) in workspace() {
        if SHELLS.contains(&name.as_str()) {
            continue;
        }
        let named = |names: &BTreeSet<String>| PLATFORM.iter().any(|platform| names.contains(*platform));
        assert!(!named(&package.needs) && !named(&package.tests_with), "{name} names a crate of the platform");
    }
}

#[test]
fn what_runs_on_the_platform_names_no_foreign_executor() {
    for (name, package) in workspace() {
        let runs_there = package.folder.starts_with("shared") || SHELLS.contains(&name.as_str());
        let foreign: Vec<_> = FOREIGN.into_iter().filter(|foreign| package.needs.contains(*foreign)).collect();
        assert!(!runs_there || foreign.is_empty(), "{name} must not depend on {foreign:?}");
    }
}

#[test]
fn the_testkit_is_for_tests_and_benchmarks() {
    for (name, package) in workspace() {
        let needs = package.needs.contains("tern-testkit");
        assert!(!needs || name == "tern-benches", "{name} needs the testkit outside of its tests");
    }
}

#[test]
fn every_crate_is_where_the_map_says() {
    let folders: BTreeSet<_> = workspace().into_values().map(|package| package.folder).collect();
    for folder in folders {
        let top = folder.split('/').next().unwrap();
        let known = ["proxy", "storage-worker", "shared", "benches", "wrangler"];
        assert!(known.contains(&top), "{folder} is a seventh source folder");
    }
}
