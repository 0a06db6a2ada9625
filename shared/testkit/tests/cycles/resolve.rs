//! From the names in a module to the files that define them.

use std::collections::BTreeSet;

use super::source::{Kind, Module, Modules};

/// A file names an item of another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Import {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) name: String,
}

/// Where a path leads.
enum Target {
    Module(Vec<String>),
    Item { module: Vec<String>, name: String, kind: Kind },
}

/// Every import between files of a crate, in order.
pub(crate) fn imports(modules: &Modules) -> Vec<Import> {
    let mut imports = BTreeSet::new();
    for (path, module) in &modules.0 {
        // What is only passed on to others is theirs to import.
        let brought = module.uses.iter().filter(|one| !one.is_passed_on || module.words.contains(&one.name));
        for named in brought.map(|one| &one.path).chain(&module.paths) {
            imports.extend(modules.import(path, module, named));
        }
    }
    imports.into_iter().collect()
}

impl Modules {
    fn import(&self, path: &[String], module: &Module, named: &[String]) -> Option<Import> {
        let Target::Item { module: owner, name, kind } = self.resolve(path, named, 0)? else { return None };
        let to = &self.0[&owner].file;
        let is_own_kin = kind == Kind::Type && path.starts_with(&owner);
        (*to != module.file && !is_own_kin).then(|| Import { from: module.file.clone(), to: to.clone(), name })
    }

    /// Where a path leads that stands in the module `at`.
    fn resolve(&self, at: &[String], named: &[String], depth: usize) -> Option<Target> {
        let (first, rest) = named.split_first()?;
        match first.as_str() {
            "crate" => self.descend(Vec::new(), rest, depth),
            "self" => self.descend(at.to_vec(), rest, depth),
            "super" => {
                let (_, parent) = at.split_last()?;
                match rest.first() {
                    Some(next) if next == "super" => self.resolve(parent, rest, depth),
                    _ => self.descend(parent.to_vec(), rest, depth),
                }
            }
            _ if self.knows(at, first) => self.descend(at.to_vec(), named, depth),
            _ => None,
        }
    }

    fn knows(&self, at: &[String], name: &str) -> bool {
        let module = &self.0[at];
        let brings = || module.uses.iter().any(|one| one.name == name && one.path != [name]);
        self.0.contains_key(&child(at, name)) || module.defines.contains_key(name) || brings()
    }

    /// Where a path leads from a module on. An unknown name is one that a macro has made there.
    fn descend(&self, at: Vec<String>, named: &[String], depth: usize) -> Option<Target> {
        let Some((name, rest)) = named.split_first() else { return Some(Target::Module(at)) };
        let below = child(&at, name);
        if self.0.contains_key(&below) {
            return self.descend(below, rest, depth);
        }
        let module = &self.0[&at];
        if let Some(kind) = module.defines.get(name) {
            return Some(Target::Item { module: at, name: name.clone(), kind: *kind });
        }
        let Some(brought) = module.uses.iter().find(|one| one.name == *name) else {
            let kind = if name.starts_with(char::is_uppercase) { Kind::Type } else { Kind::Value };
            return Some(Target::Item { module: at, name: name.clone(), kind });
        };
        // A name that leads to itself is one of another crate.
        match self.resolve(&at, &brought.path, depth.checked_add(1).filter(|depth| *depth < 16)?)? {
            Target::Module(module) => self.descend(module, rest, depth),
            item @ Target::Item { .. } => Some(item),
        }
    }
}

fn child(at: &[String], name: &str) -> Vec<String> {
    at.iter().cloned().chain([name.to_owned()]).collect()
}
