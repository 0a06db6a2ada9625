//! JSON that is read when somebody looks, and written as it was when nobody did.

use std::cell::OnceCell;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tern_model::RawJson;

/// A value, or its text as long as nobody has looked.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lazy<T> {
    text: Option<RawJson>,
    read: OnceCell<T>,
}

impl<T: DeserializeOwned + Default> Lazy<T> {
    /// The value; the default when the text cannot be read.
    pub(crate) fn get(&self) -> &T {
        self.read.get_or_init(|| self.parse().unwrap_or_default())
    }

    /// Changes the value.
    pub(crate) fn change<R>(&mut self, change: impl FnOnce(&mut T) -> R) -> R {
        let mut value = self.read.take().or_else(|| self.parse()).unwrap_or_default();
        let result = change(&mut value);
        *self = Self::from(value);
        result
    }

    /// Whether the text can be read.
    pub(crate) fn is_sound(&self) -> bool {
        if self.read.get().is_none() {
            let Some(value) = self.parse() else { return self.text.is_none() };
            let _ = self.read.set(value);
        }
        true
    }

    fn parse(&self) -> Option<T> {
        self.text.as_ref()?.read().ok()
    }
}

impl<T> From<T> for Lazy<T> {
    fn from(value: T) -> Self {
        Self { text: None, read: OnceCell::from(value) }
    }
}

impl<T: Serialize + DeserializeOwned + Default> Serialize for Lazy<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.text {
            Some(text) => text.serialize(serializer),
            None => self.get().serialize(serializer),
        }
    }
}

impl<'de, T> Deserialize<'de> for Lazy<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { text: Some(RawJson::deserialize(deserializer)?), read: OnceCell::new() })
    }
}
