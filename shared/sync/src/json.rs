//! Writes JSON text front to back; raw values are copied, not parsed.

use std::fmt::Write as _;

/// An object being written. Close it with [`Object::end`].
pub(crate) struct Object<'a> {
    out: &'a mut String,
    fields: usize,
}

impl<'a> Object<'a> {
    /// Opens an object at the end of `out`.
    pub(crate) fn open(out: &'a mut String) -> Self {
        out.push('{');
        Self { out, fields: 0 }
    }

    /// Closes it.
    pub(crate) fn end(self) {
        self.out.push('}');
    }

    /// How many fields have been written.
    pub(crate) const fn len(&self) -> usize {
        self.fields
    }

    /// Bytes of the whole text so far.
    pub(crate) const fn bytes(&self) -> usize {
        self.out.len()
    }

    fn key(&mut self, key: &str) -> &mut String {
        if self.fields > 0 {
            self.out.push(',');
        }
        self.fields += 1;
        push_text(self.out, key);
        self.out.push(':');
        self.out
    }

    /// A value that is JSON already.
    pub(crate) fn raw(&mut self, key: &str, json: &str) {
        self.key(key).push_str(json);
    }

    pub(crate) fn text(&mut self, key: &str, text: &str) {
        push_text(self.key(key), text);
    }

    /// A text, or `null`.
    pub(crate) fn nullable(&mut self, key: &str, text: Option<&str>) {
        match text {
            Some(text) => self.text(key, text),
            None => self.raw(key, "null"),
        }
    }

    pub(crate) fn number(&mut self, key: &str, number: u64) {
        // Writing to a string does not fail.
        let _ = write!(self.key(key), "{number}");
    }

    pub(crate) fn flag(&mut self, key: &str, flag: bool) {
        self.raw(key, if flag { "true" } else { "false" });
    }

    /// An array of values that are JSON already.
    pub(crate) fn array<T: AsRef<str>>(&mut self, key: &str, values: impl IntoIterator<Item = T>) {
        push_array(self.key(key), values);
    }

    /// An array of texts.
    pub(crate) fn texts<T: AsRef<str>>(&mut self, key: &str, texts: impl IntoIterator<Item = T>) {
        let out = self.key(key);
        out.push('[');
        for (index, text) in texts.into_iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            push_text(out, text.as_ref());
        }
        out.push(']');
    }

    /// An object inside; left out again when it stays empty.
    pub(crate) fn object<R>(&mut self, key: &str, write: impl FnOnce(&mut Object<'_>) -> R) -> R {
        let (length, fields) = (self.out.len(), self.fields);
        let mut inner = Object::open(self.key(key));
        let result = write(&mut inner);
        let empty = inner.fields == 0;
        inner.end();
        if empty {
            self.out.truncate(length);
            self.fields = fields;
        }
        result
    }
}

/// Appends an array of values that are JSON already.
pub(crate) fn push_array<T: AsRef<str>>(out: &mut String, values: impl IntoIterator<Item = T>) {
    out.push('[');
    for (index, value) in values.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        out.push_str(value.as_ref());
    }
    out.push(']');
}

/// Appends a JSON string.
pub(crate) fn push_text(out: &mut String, text: &str) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c < ' ' || c == '"' || c == '\\') {
        let (plain, special) = rest.split_at(at);
        out.push_str(plain);
        let mut chars = special.chars();
        match chars.next() {
            Some(c @ ('"' | '\\')) => out.extend(['\\', c]),
            Some('\n') => out.push_str("\\n"),
            Some(c) => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            None => {}
        }
        rest = chars.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::{Object, push_text};

    #[test]
    fn text_is_escaped_as_a_parser_expects() {
        for text in ["", "plain", "a\"b\\c\nd\te\u{1}f", "ünï☃", "\\", "\""] {
            let mut out = String::new();
            push_text(&mut out, text);
            assert_eq!(serde_json::from_str::<String>(&out).unwrap(), text);
        }
    }

    #[test]
    fn an_empty_inner_object_leaves_no_trace() {
        let mut out = String::new();
        let mut object = Object::open(&mut out);
        object.number("a", 1);
        object.object("b", |_| {});
        object.object("c", |inner| inner.flag("d", true));
        object.end();
        assert_eq!(out, r#"{"a":1,"c":{"d":true}}"#);
    }
}
