//! `budgets.toml`: ceilings of every workload, and what the measured costs mean by them.

use std::{collections::BTreeMap, fmt::Write as _, fs, path::PathBuf};

use crate::{
    Cost,
    cost::{FIGURES, Figure},
};

/// Begins the part of the file that is written by the test.
const TABLE: &str = "[workloads]";
/// A loose ceiling is set this many percent above what was measured, and is too high when less than this is used.
const PLAY: (u64, u64) = (5, 80);

/// The file.
pub struct Budgets {
    /// Everything before the workloads.
    preamble: String,
    ceilings: BTreeMap<String, Cost>,
}

impl Budgets {
    /// Where it is.
    pub fn path() -> PathBuf {
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("budgets.toml")
    }

    /// Reads the file.
    pub fn load() -> Self {
        let text = fs::read_to_string(Self::path()).expect("budgets.toml can be read");
        Self::parse(&text)
    }

    /// The file's own plain form of TOML: one line per workload, figures that are zero left out.
    pub fn parse(text: &str) -> Self {
        let (preamble, workloads) = text.split_once(TABLE).unwrap_or((text, ""));
        let lines = workloads.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
        let ceilings = lines.filter(|line| !line.is_empty()).map(workload).collect();
        Self { preamble: preamble.to_owned(), ceilings }
    }

    /// What a workload may cost.
    pub fn get(&self, name: &str) -> Option<Cost> {
        self.ceilings.get(name).copied()
    }

    /// The file with these costs as ceilings.
    pub fn written(&self, costs: &[(String, Cost)]) -> String {
        let mut text = format!("{}{TABLE}\n", self.preamble);
        for (name, cost) in costs {
            let figures = cost.figures().filter(|(_, value)| *value > 0);
            let figures = figures.map(|(figure, value)| format!("{} = {}", figure.name, ceiling(figure, value)));
            let figures: Vec<_> = figures.collect();
            // Writing to a string does not fail.
            let _ = writeln!(text, "{name} = {{ {} }}", figures.join(", "));
        }
        text
    }

    /// One line for every figure that is not what the file says; empty when all is well.
    pub fn verdicts(&self, costs: &[(String, Cost)]) -> Vec<String> {
        let mut verdicts = Vec::new();
        for (name, cost) in costs {
            match self.ceilings.get(name) {
                Some(ceilings) => verdicts.extend(compare(name, *cost, *ceilings)),
                None => verdicts.push(format!("{name:34} has no budget")),
            }
        }
        let gone = self.ceilings.keys().filter(|name| !costs.iter().any(|(known, _)| known == *name));
        verdicts.extend(gone.map(|name| format!("{name:34} has a budget and is not measured")));
        verdicts
    }
}

fn compare(name: &str, cost: Cost, mut ceilings: Cost) -> impl Iterator<Item = String> {
    cost.figures().filter_map(move |(figure, measured)| {
        let ceiling = *(figure.of)(&mut ceilings);
        let verdict = match measured {
            _ if measured > ceiling => "over the budget",
            _ if figure.loose && measured * 100 < ceiling * PLAY.1 => "far below: lower the budget",
            _ if !figure.loose && measured < ceiling => "below: lower the budget",
            _ => return None,
        };
        Some(format!("{name:34} {:18} {measured:>10} {ceiling:>10}  {verdict}", figure.name))
    })
}

fn ceiling(figure: &Figure, measured: u64) -> u64 {
    let above = (measured * (100 + PLAY.0)).div_ceil(100);
    // Of very few, one more would be too much.
    if figure.loose && measured * 100 >= above * PLAY.1 { above } else { measured }
}

fn workload(line: &str) -> (String, Cost) {
    let (name, figures) = line.split_once('=').expect("a workload has figures");
    let figures = figures.trim().strip_prefix('{').and_then(|figures| figures.strip_suffix('}'));
    let mut cost = Cost::default();
    let entries = figures.expect("figures stand in braces").split(',').map(str::trim);
    for entry in entries.filter(|entry| !entry.is_empty()) {
        let (key, value) = entry.split_once('=').expect("a figure has a value");
        let figure = FIGURES.iter().find(|figure| figure.name == key.trim()).expect("the figure is known");
        *(figure.of)(&mut cost) = value.trim().replace('_', "").parse().expect("the value is a number");
    }
    (name.trim().to_owned(), cost)
}
