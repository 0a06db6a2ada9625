//! The configurations of one deployment, made of those in the checkout.

use std::fs;

use anyhow::{Context, Result};
use serde_json::{Map, Value, json};

use super::folder::{Folder, Settings};
use crate::checkout::Checkout;

/// Ids of what the configurations name, by those names.
pub(crate) struct Ids {
    pub(crate) databases: Vec<(String, String)>,
    pub(crate) namespace: String,
}

/// What a deployment's parts are called: `tern-storage` of the checkout is `tern-NAME-storage`.
pub(crate) struct Names {
    pub(crate) proxy: String,
    pub(crate) storage: String,
    pub(crate) bucket: String,
    pub(crate) namespace: String,
    /// Binding and name.
    pub(crate) databases: Vec<(String, String)>,
}

impl Names {
    pub(crate) fn of(checkout: &Checkout, name: &str) -> Result<Self> {
        let storage = read(checkout, "storage-worker")?;
        let rows = storage.get("d1_databases").and_then(Value::as_array).context("no databases are configured")?;
        let text = |row: &Value, field: &str| Some(row.get(field)?.as_str()?.to_owned());
        let pair = |row| Some((text(row, "binding")?, own_name(&text(row, "database_name")?, name)));
        Ok(Self {
            proxy: format!("tern-{name}"),
            storage: format!("tern-{name}-storage"),
            bucket: format!("tern-{name}-media"),
            namespace: format!("tern-{name}-cache"),
            databases: rows.iter().filter_map(pair).collect(),
        })
    }
}

fn own_name(general: &str, name: &str) -> String {
    format!("tern-{name}-{}", general.trim_start_matches("tern-"))
}

/// A configuration of the checkout.
pub(crate) fn read(checkout: &Checkout, worker: &str) -> Result<Value> {
    let path = checkout.wrangler().join(format!("{worker}.jsonc"));
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    serde_json::from_str(&without_comments(&text)).with_context(|| format!("in {}", path.display()))
}

/// Line comments only, which is all that our configurations have.
fn without_comments(text: &str) -> String {
    let kept = text.lines().map(|line| line.get(..comment_start(line)).unwrap_or(line));
    kept.flat_map(|line| [line, "\n"]).collect()
}

/// Where the comment of a line begins; `//` within a string is none.
fn comment_start(line: &str) -> usize {
    let (mut quoted, mut escaped, mut slash) = (false, false, None);
    for (place, char) in line.char_indices() {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = quoted,
            '"' => quoted = !quoted,
            '/' if !quoted && slash == Some(place) => return place - 1,
            '/' if !quoted => slash = Some(place + 1),
            _ => {}
        }
    }
    line.len()
}

/// Writes both configurations into the folder.
pub(crate) fn write(checkout: &Checkout, folder: &Folder, settings: &Settings, names: &Names, ids: &Ids) -> Result<()> {
    let mut storage = read(checkout, "storage-worker")?;
    adapt_storage(&mut storage, names, ids);
    let mut proxy = read(checkout, "proxy")?;
    adapt_proxy(&mut proxy, settings, names, &ids.namespace, folder.variables()?);
    for (worker, mut config) in [("storage-worker", storage), ("proxy", proxy)] {
        place(&mut config, checkout, worker);
        folder.write(&format!("{worker}.json"), &config)?;
    }
    Ok(())
}

/// Paths in a configuration are relative to it, and this one lies elsewhere.
fn place(config: &mut Value, checkout: &Checkout, worker: &str) {
    set(config, "main", json!(checkout.path(worker).join("build/index.js")));
    set(config, "$schema", json!(checkout.wrangler().join("node_modules/wrangler/config-schema.json")));
    for row in config.get_mut("d1_databases").and_then(Value::as_array_mut).into_iter().flatten() {
        let folder = row.get("migrations_dir").and_then(Value::as_str).unwrap_or_default();
        let folder = checkout.wrangler().join(folder);
        set(row, "migrations_dir", json!(folder));
    }
}

fn adapt_storage(config: &mut Value, names: &Names, ids: &Ids) {
    set(config, "name", json!(names.storage));
    set(config, "r2_buckets", json!([{ "binding": "MEDIA", "bucket_name": names.bucket }]));
    let rows = config.get_mut("d1_databases").and_then(Value::as_array_mut).into_iter().flatten();
    for (row, (_, name)) in rows.zip(&names.databases) {
        set(row, "database_name", json!(name));
        if let Some((_, id)) = ids.databases.iter().find(|(known, _)| known == name) {
            set(row, "database_id", json!(id));
        }
    }
}

fn adapt_proxy(config: &mut Value, settings: &Settings, names: &Names, namespace: &str, own: Map<String, Value>) {
    set(config, "name", json!(names.proxy));
    set(config, "services", json!([{ "binding": "STORAGE", "service": names.storage }]));
    set(config, "kv_namespaces", json!([{ "binding": "CACHE", "id": namespace }]));
    let on_workers_dev = settings.host().ends_with(".workers.dev");
    set(config, "workers_dev", json!(on_workers_dev));
    if !on_workers_dev {
        set(config, "routes", json!([{ "pattern": settings.host(), "custom_domain": true }]));
    }
    let Some(variables) = config.get_mut("vars").and_then(Value::as_object_mut) else { return };
    variables.extend(own);
    variables.insert("SERVER_NAME".to_owned(), json!(settings.server_name));
    variables.insert("PUBLIC_URL".to_owned(), json!(settings.url));
}

fn set(object: &mut Value, field: &str, value: Value) {
    if let Some(fields) = object.as_object_mut() {
        fields.insert(field.to_owned(), value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_end_where_strings_do_not() {
        assert_eq!(
            without_comments("{ // \"a\"\n \"b\": \"https://c\\\"//\" // d\n}"),
            "{ \n \"b\": \"https://c\\\"//\" \n}\n"
        );
        assert_eq!(without_comments("\"a\": 1 / 2"), "\"a\": 1 / 2\n");
    }

    #[test]
    fn names_of_two_deployments_do_not_meet() {
        let names = Names::of(&Checkout::find().expect("a checkout"), "blue").expect("names");
        assert_eq!(names.storage, "tern-blue-storage");
        assert_eq!(names.databases.first(), Some(&("GLOBAL".to_owned(), "tern-blue-global".to_owned())));
    }
}
