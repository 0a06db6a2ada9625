//! `event_fields`: of each event only the named properties (Client-Server API, "Filtering").
//!
//! Events are copied raw into an answer, so this works on the finished one. Few clients ask for it.

use serde_json::{Map, Value};

/// The answer with the events of its rooms cut down to `wanted`, dotted paths in which a backslash escapes.
pub(super) fn narrow(answer: &str, wanted: &[String]) -> String {
    // The answer is our own JSON: it always parses.
    let mut answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let paths: Vec<Vec<String>> = wanted.iter().map(|path| split(path)).collect();
    let rooms = answer.get_mut("rooms").and_then(Value::as_object_mut);
    let rooms = rooms.into_iter().flat_map(Map::values_mut).filter_map(Value::as_object_mut);
    for section in rooms.flat_map(Map::values_mut).filter_map(Value::as_object_mut).flat_map(Map::values_mut) {
        let Some(events) = section.get_mut("events").and_then(Value::as_array_mut) else { continue };
        for event in events {
            *event = cut(event, &paths);
        }
    }
    answer.to_string()
}

fn cut(event: &Value, paths: &[Vec<String>]) -> Value {
    let mut kept = Value::Object(Map::new());
    for path in paths {
        let found = path.iter().try_fold(event, |value, key| value.get(key));
        if let Some(found) = found {
            insert(&mut kept, path, found);
        }
    }
    kept
}

fn insert(target: &mut Value, path: &[String], value: &Value) {
    let [key, rest @ ..] = path else {
        *target = value.clone();
        return;
    };
    if let Value::Object(map) = target {
        let next = map.entry(key.as_str()).or_insert_with(|| Value::Object(Map::new()));
        insert(next, rest, value);
    }
}

/// Splits at dots. A dot or backslash after a backslash is part of the name.
fn split(path: &str) -> Vec<String> {
    let mut names = vec![String::new()];
    let mut escaped = false;
    for character in path.chars() {
        match character {
            '\\' if !escaped => {
                escaped = true;
                continue;
            }
            '.' if !escaped => names.push(String::new()),
            other => {
                if let Some(name) = names.last_mut() {
                    name.push(other);
                }
            }
        }
        escaped = false;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::narrow;

    #[test]
    fn only_named_properties_are_left() {
        let event = r#"{"type":"m","sender":"@a:b","content":{"body":"x","a.b":1,"rest":2}}"#;
        let answer =
            format!(r#"{{"next_batch":"s1","rooms":{{"join":{{"!r":{{"timeline":{{"events":[{event}]}},"x":1}}}}}}}}"#);
        let wanted = ["type", "content.body", r"content.a\.b", "absent"].map(str::to_owned);
        let left = r#"[{"content":{"a.b":1,"body":"x"},"type":"m"}]"#;
        assert!(narrow(&answer, &wanted).contains(left), "{}", narrow(&answer, &wanted));
    }
}
