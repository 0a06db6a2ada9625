//! Lists and maps of a bounded number of entries.

use std::{
    collections::{BTreeMap, btree_map, btree_map::IntoIter as IntoEntries},
    ops::Deref,
    slice,
    vec::IntoIter,
};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{TooLong, check};

/// A list of at most `N` entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BoundedVec<T, const N: usize>(Vec<T>);

impl<T, const N: usize> BoundedVec<T, N> {
    /// The most entries there may be.
    pub const MOST: usize = N;

    /// Keeps `entries` as they are.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(entries: Vec<T>) -> Result<Self, TooLong> {
        check(entries.len(), N).map(|()| Self(entries))
    }

    /// The first entries, as many as there may be.
    pub fn cut(mut entries: Vec<T>) -> Self {
        entries.truncate(N);
        Self(entries)
    }

    /// There are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The entries, without their bound.
    pub fn into_vec(self) -> Vec<T> {
        self.0
    }
}

impl<T, const N: usize> Default for BoundedVec<T, N> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T, const N: usize> Deref for BoundedVec<T, N> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.0
    }
}

impl<T, const N: usize> TryFrom<Vec<T>> for BoundedVec<T, N> {
    type Error = TooLong;

    fn try_from(entries: Vec<T>) -> Result<Self, TooLong> {
        Self::new(entries)
    }
}

impl<T, const N: usize> IntoIterator for BoundedVec<T, N> {
    type Item = T;
    type IntoIter = IntoIter<T>;

    fn into_iter(self) -> IntoIter<T> {
        self.0.into_iter()
    }
}

impl<'a, T, const N: usize> IntoIterator for &'a BoundedVec<T, N> {
    type Item = &'a T;
    type IntoIter = slice::Iter<'a, T>;

    fn into_iter(self) -> slice::Iter<'a, T> {
        self.0.iter()
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for BoundedVec<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(Vec::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// A map of at most `N` entries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BoundedMap<K, V, const N: usize>(BTreeMap<K, V>);

impl<K, V, const N: usize> BoundedMap<K, V, N> {
    /// The most entries there may be.
    pub const MOST: usize = N;

    /// Keeps `entries` as they are.
    ///
    /// # Errors
    /// When there are too many.
    pub fn new(entries: BTreeMap<K, V>) -> Result<Self, TooLong> {
        check(entries.len(), N).map(|()| Self(entries))
    }

    /// The entries, without their bound.
    pub fn into_map(self) -> BTreeMap<K, V> {
        self.0
    }
}

impl<K, V, const N: usize> Default for BoundedMap<K, V, N> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K, V, const N: usize> Deref for BoundedMap<K, V, N> {
    type Target = BTreeMap<K, V>;

    fn deref(&self) -> &BTreeMap<K, V> {
        &self.0
    }
}

impl<K, V, const N: usize> TryFrom<BTreeMap<K, V>> for BoundedMap<K, V, N> {
    type Error = TooLong;

    fn try_from(entries: BTreeMap<K, V>) -> Result<Self, TooLong> {
        Self::new(entries)
    }
}

impl<K, V, const N: usize> IntoIterator for BoundedMap<K, V, N> {
    type Item = (K, V);
    type IntoIter = IntoEntries<K, V>;

    fn into_iter(self) -> IntoEntries<K, V> {
        self.0.into_iter()
    }
}

impl<'a, K, V, const N: usize> IntoIterator for &'a BoundedMap<K, V, N> {
    type Item = (&'a K, &'a V);
    type IntoIter = btree_map::Iter<'a, K, V>;

    fn into_iter(self) -> btree_map::Iter<'a, K, V> {
        self.0.iter()
    }
}

impl<'de, K: Deserialize<'de> + Ord, V: Deserialize<'de>, const N: usize> Deserialize<'de> for BoundedMap<K, V, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(BTreeMap::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
