//! Circles in a graph of imports.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::resolve::Import;

/// Files that all need each other.
pub(crate) struct Circle {
    pub(crate) files: Vec<String>,
    /// One of the shortest ways around, a line a step.
    pub(crate) told: String,
}

type Graph<'a> = BTreeMap<&'a str, BTreeMap<&'a str, &'a str>>;

/// Every set of files that lead to each other.
pub(crate) fn circles(imports: &[Import]) -> Vec<Circle> {
    let mut graph = Graph::new();
    for import in imports {
        graph.entry(&import.from).or_default().entry(&import.to).or_insert(&import.name);
    }
    let mut seen = BTreeSet::new();
    let mut circles = Vec::new();
    for &file in graph.keys() {
        let files: Vec<_> = reached(&graph, file).into_iter().filter(|to| reached(&graph, to).contains(file)).collect();
        if files.is_empty() || !seen.insert(files.clone()) {
            continue;
        }
        let around = files.iter().filter_map(|file| shortest(&graph, file)).min_by_key(Vec::len).unwrap_or_default();
        circles.push(Circle { files: files.into_iter().map(str::to_owned).collect(), told: told(&graph, &around) });
    }
    circles
}

fn next<'a>(graph: &Graph<'a>, file: &str) -> Vec<&'a str> {
    graph.get(file).map(|next| next.keys().copied().collect()).unwrap_or_default()
}

/// Every file that one leads to, itself only if it is in a circle.
fn reached<'a>(graph: &Graph<'a>, from: &str) -> BTreeSet<&'a str> {
    let (mut reached, mut open) = (BTreeSet::new(), next(graph, from));
    while let Some(file) = open.pop() {
        if reached.insert(file) {
            open.extend(next(graph, file));
        }
    }
    reached
}

/// A shortest way from a file back to itself, with it at both ends.
fn shortest<'a>(graph: &Graph<'a>, from: &'a str) -> Option<Vec<&'a str>> {
    let mut ways = VecDeque::from([vec![from]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for file in next(graph, way.last()?) {
            let longer: Vec<_> = way.iter().copied().chain([file]).collect();
            if file == from {
                return Some(longer);
            }
            if seen.insert(file) {
                ways.push_back(longer);
            }
        }
    }
    None
}

fn told(graph: &Graph<'_>, around: &[&str]) -> String {
    let steps = around.iter().zip(around.iter().skip(1));
    let steps = steps.map(|(from, to)| format!("    → {to} ({})\n", graph[from][to]));
    format!("  {}\n{}", around.first().unwrap_or(&""), steps.collect::<String>())
}
