//! What `ARCHITECTURE.md` and the decisions say of the code is there: paths, links, names of the glossary. They stay short.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// Most lines of `ARCHITECTURE.md`, and of a decision.
const MAP: usize = 250;
const DECISION: usize = 60;

/// What a decision consists of.
const SECTIONS: [&str; 4] = ["## Context", "## Decision", "## Measurement", "## Consequences"];

/// Where paths begin.
const FOLDERS: [&str; 6] = ["shared/", "proxy/", "storage-worker/", "benches/", "wrangler/", "findings/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn read(path: &Path) -> String {
    assert!(path.is_file(), "there is no {}", path.display());
    fs::read_to_string(path).unwrap()
}

fn decisions() -> Vec<PathBuf> {
    let files = fs::read_dir(root().join("shared/decisions")).unwrap();
    let mut files: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    files.sort();
    files
}

fn name(path: &Path) -> &str {
    path.file_name().unwrap().to_str().unwrap()
}

/// Code spans of a line or a cell.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// A path is written as from the root. What looks like one and begins elsewhere leads nowhere.
fn is_path(span: &str) -> bool {
    let plain = span.chars().all(|sign| sign.is_ascii_alphanumeric() || "/._-".contains(sign));
    let file = span.contains('/') && Path::new(span).extension().is_some_and(|kind| kind == "rs" || kind == "md");
    plain && (file || FOLDERS.iter().any(|folder| span.starts_with(folder)))
}

/// Targets of links, those into the web and within the page excepted.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    targets.filter(|target| !target.starts_with("http") && !target.starts_with('#'))
}

fn is_word(sign: char) -> bool {
    sign.is_ascii_alphanumeric() || sign == '_'
}

/// Words of all sources at a path, tests excepted.
fn words_at(path: &Path, words: &mut BTreeSet<String>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).unwrap() {
            let entry = entry.unwrap().path();
            if !matches!(name(&entry), "tests" | "target" | "node_modules") {
                words_at(&entry, words);
            }
        }
    } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "sql") {
        words.extend(read(path).split(|sign| !is_word(sign)).map(str::to_owned));
    }
}

#[test]
fn the_map_and_the_decisions_are_short() {
    let map = read(&root().join("ARCHITECTURE.md")).lines().count();
    assert!(map <= MAP, "ARCHITECTURE.md has {map} lines, of at most {MAP}");
    for file in decisions() {
        let text = read(&file);
        let lines = text.lines().count();
        assert!(lines <= DECISION, "{} has {lines} lines, of at most {DECISION}", file.display());
        if name(&file).starts_with(|sign: char| sign.is_ascii_digit()) {
            let sections: Vec<_> = text.lines().filter(|line| line.starts_with("## ")).collect();
            assert_eq!(sections, SECTIONS, "{}", file.display());
        }
    }
}

#[test]
fn every_decision_is_in_the_index_once_and_numbered_without_gaps() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let indexed: Vec<_> = links(&map).filter_map(|link| link.strip_prefix("shared/decisions/")).collect();
    let files = decisions();
    assert_eq!(indexed, files.iter().map(|file| name(file)).collect::<Vec<_>>());
    let numbered =
        files.iter().map(|file| name(file)).filter(|name| name.starts_with(|sign: char| sign.is_ascii_digit()));
    for (number, file) in (1..).zip(numbered) {
        let prefix = format!("{number:04}-");
        assert!(file.starts_with(&prefix), "{file} should begin with {prefix}");
        let title = format!("# {number:04} ");
        assert!(
            read(&root().join("shared/decisions").join(file)).starts_with(&title),
            "{file} should begin with {title}"
        );
    }
}

#[test]
fn paths_and_links_lead_somewhere() {
    let pages = ["ARCHITECTURE.md", "README.md"].map(|page| root().join(page));
    for page in pages.into_iter().chain(decisions()) {
        let text = read(&page);
        for path in text.lines().flat_map(spans).filter(|span| is_path(span)) {
            assert!(root().join(path).exists(), "{}: there is no {path}", page.display());
        }
        for link in links(&text) {
            let target = link.split('#').next().unwrap_or(link);
            assert!(page.parent().unwrap().join(target).exists(), "{}: there is no {link}", page.display());
        }
    }
}

#[test]
fn names_of_the_glossary_are_where_it_says() {
    let map = read(&root().join("ARCHITECTURE.md"));
    let glossary = map.split("\n## ").find(|section| section.starts_with("Glossary")).unwrap();
    let rows: Vec<Vec<_>> = glossary
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| term"))
        .map(|line| line.trim_matches('|').split(" | ").collect())
        .collect();
    assert!(!rows.is_empty(), "the glossary has no rows");
    for row in rows {
        assert_eq!(row.len(), 4, "{row:?}");
        let mut words = BTreeSet::new();
        for place in spans(row[3]) {
            words_at(&root().join(place), &mut words);
        }
        for code in spans(row[2]) {
            assert!(words.contains(code), "{}: {code} is in none of {}", row[0].trim(), row[3].trim());
        }
    }
}
