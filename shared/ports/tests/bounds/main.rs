//! Nothing from outside is unbounded: what commands consist of, read from the source of their types.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod lists;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use lists::{ELSEWHERE, OURS};

/// Types of any length. ruma bounds ids of users, rooms and aliases, but none of these.
const UNBOUNDED: [&str; 8] =
    ["String", "RawJson", "Vec", "BTreeMap", "BTreeSet", "OwnedEventId", "OwnedDeviceId", "OwnedTransactionId"];

/// A type of the wire: its fields, and the identifiers in the type of each.
type Fields = BTreeMap<String, BTreeSet<String>>;

#[derive(Default)]
struct Wire {
    commands: BTreeSet<String>,
    types: BTreeMap<String, Fields>,
}

impl Wire {
    fn read() -> Self {
        let mut wire = Self::default();
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/wire");
        for file in fs::read_dir(folder).unwrap() {
            let source = fs::read_to_string(file.unwrap().path()).unwrap();
            let source = source.split("#[cfg(test)]").next().unwrap().to_owned();
            wire.scan(&source);
        }
        wire
    }

    /// Lines are enough: the source is formatted.
    fn scan(&mut self, source: &str) {
        let mut within: Option<(String, Fields)> = None;
        for line in source.lines() {
            let code = line.trim();
            if code.starts_with("//") || code.starts_with("#[") {
                continue;
            }
            let row = line.strip_prefix("        ").and_then(|rest| rest.split_once(" => "));
            // Some have another name in frames: `Command as "Name" => Reply`.
            if let Some(command) = row.and_then(|(command, _)| command.split(" as ").next())
                && command.chars().all(char::is_alphanumeric)
                && within.is_none()
            {
                self.commands.insert(command.to_owned());
            }
            if let Some(name) = opened(line) {
                within = Some((name, Fields::new()));
            } else if line == "}" {
                self.types.extend(within.take());
            } else if let Some((_, fields)) = &mut within {
                let (field, types) = field_of(code);
                fields.entry(field).or_default().extend(types);
            }
        }
    }

    /// Every field of every command, also of what it is made of.
    fn fields(&self) -> BTreeMap<String, BTreeSet<String>> {
        let mut seen: BTreeSet<&str> = BTreeSet::new();
        let mut rest: Vec<&str> = self.commands.iter().map(String::as_str).collect();
        let mut found = BTreeMap::new();
        while let Some(name) = rest.pop() {
            let Some((name, fields)) = self.types.get_key_value(name).filter(|(name, _)| seen.insert(name)) else {
                continue;
            };
            for (field, types) in fields {
                rest.extend(types.iter().map(String::as_str));
                found.insert(format!("{name}.{field}"), types.clone());
            }
        }
        found
    }
}

/// The type whose definition this line opens.
fn opened(line: &str) -> Option<String> {
    let rest = line.strip_prefix("pub struct ").or_else(|| line.strip_prefix("pub enum "))?;
    let name: String = rest.chars().take_while(|char| char.is_alphanumeric()).collect();
    line.ends_with('{').then_some(name)
}

/// The name of the field or variant on a line, and the identifiers in its type.
fn field_of(code: &str) -> (String, BTreeSet<String>) {
    let code = code.strip_prefix("pub ").unwrap_or(code);
    let name: String = code.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect();
    let types = code.strip_prefix(name.as_str()).unwrap_or_default();
    let words = types.split(|char: char| !char.is_alphanumeric() && char != '_').filter(|word| !word.is_empty());
    (name, words.map(str::to_owned).collect())
}

#[test]
fn every_field_that_somebody_else_fills_is_bounded_by_its_type() {
    let wire = Wire::read();
    assert!(wire.commands.contains("SendEvent") && wire.commands.len() > 100, "commands are found");
    let fields = wire.fields();
    let bare = |types: &BTreeSet<String>| UNBOUNDED.iter().any(|name| types.contains(*name));
    let bare: BTreeSet<&str> = fields.iter().filter(|(_, types)| bare(types)).map(|(name, _)| name.as_str()).collect();
    let known: BTreeSet<&str> = OURS.iter().flat_map(|(_, names)| *names).chain(ELSEWHERE).copied().collect();
    let new: Vec<_> = bare.difference(&known).collect();
    assert!(new.is_empty(), "give these a bound (`tern_model::bounds`), or say why they need none: {new:#?}");
    let stale: Vec<_> = known.difference(&bare).collect();
    assert!(stale.is_empty(), "these need no mention any more: {stale:#?}");
}
