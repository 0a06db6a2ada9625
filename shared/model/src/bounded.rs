//! Values whose length is bounded by their type: what a client or another server fills in.
//!
//! A value that is too long cannot be made, nor read from a frame. On the wire each looks like what it holds. What is
//! bounded is bytes of text and JSON, and numbers of entries.

use std::{borrow::Borrow, fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use crate::{MatrixError, RawJson};

mod collections;
mod id;

pub use collections::{BoundedMap, BoundedVec};
pub use id::BoundedId;

/// More than the type holds: bytes of text or JSON, entries of a list or a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("longer than {most}")]
pub struct TooLong {
    /// The most there may be.
    pub most: usize,
}

/// 413 `M_TOO_LARGE`, unless whoever decodes the request knows a better answer.
impl From<TooLong> for MatrixError {
    fn from(error: TooLong) -> Self {
        Self::too_large(format!("Something in the request is {error}"))
    }
}

/// Refuses what is longer than `most`.
const fn check(length: usize, most: usize) -> Result<(), TooLong> {
    if length <= most { Ok(()) } else { Err(TooLong { most }) }
}

/// Text of at most `N` bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Bounded<const N: usize>(String);

impl<const N: usize> Bounded<N> {
    /// The most bytes there may be.
    pub const MOST: usize = N;

    /// Keeps `text` as it is.
    ///
    /// # Errors
    /// When it is too long.
    pub fn new(text: impl Into<String>) -> Result<Self, TooLong> {
        let text = text.into();
        check(text.len(), N).map(|()| Self(text))
    }

    /// As much of `text` as there may be, cut between characters: for literals, which fit, and where the rest is worth
    /// less than an error.
    pub fn cut(text: impl Into<String>) -> Self {
        let mut text = text.into();
        text.truncate(text.floor_char_boundary(N));
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The text, without its bound.
    pub fn into_string(self) -> String {
        self.0
    }
}

impl<const N: usize> Deref for Bounded<N> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> AsRef<str> for Bounded<N> {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> Borrow<str> for Bounded<N> {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl<const N: usize> fmt::Display for Bounded<N> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl<const N: usize> PartialEq<str> for Bounded<N> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl<const N: usize> PartialEq<&str> for Bounded<N> {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

impl<const N: usize> From<Bounded<N>> for String {
    fn from(text: Bounded<N>) -> Self {
        text.0
    }
}

impl<const N: usize> TryFrom<String> for Bounded<N> {
    type Error = TooLong;

    fn try_from(text: String) -> Result<Self, TooLong> {
        Self::new(text)
    }
}

impl<const N: usize> TryFrom<&str> for Bounded<N> {
    type Error = TooLong;

    fn try_from(text: &str) -> Result<Self, TooLong> {
        check(text.len(), N).map(|()| Self(text.to_owned()))
    }
}

impl<'de, const N: usize> Deserialize<'de> for Bounded<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// One JSON value of at most `N` bytes of text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct BoundedJson<const N: usize>(RawJson);

impl<const N: usize> BoundedJson<N> {
    /// The most bytes there may be.
    pub const MOST: usize = N;

    /// Keeps `json` as it is.
    ///
    /// # Errors
    /// When it is too long.
    pub fn new(json: RawJson) -> Result<Self, TooLong> {
        check(json.text().len(), N).map(|()| Self(json))
    }

    /// The value, without its bound.
    pub fn into_raw(self) -> RawJson {
        self.0
    }

    /// The value `{}`.
    pub fn empty_object() -> Self {
        Self(RawJson::empty_object())
    }
}

impl<const N: usize> Deref for BoundedJson<N> {
    type Target = RawJson;

    fn deref(&self) -> &RawJson {
        &self.0
    }
}

impl<const N: usize> From<BoundedJson<N>> for RawJson {
    fn from(json: BoundedJson<N>) -> Self {
        json.0
    }
}

impl<const N: usize> TryFrom<RawJson> for BoundedJson<N> {
    type Error = TooLong;

    fn try_from(json: RawJson) -> Result<Self, TooLong> {
        Self::new(json)
    }
}

impl<'de, const N: usize> Deserialize<'de> for BoundedJson<N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(RawJson::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use ruma::{OwnedDeviceId, OwnedEventId, OwnedRoomId, OwnedUserId};
    use serde_json::json;

    use super::{Bounded, BoundedId, BoundedJson, BoundedMap, BoundedVec, TooLong};
    use crate::RawJson;

    #[test]
    fn on_the_wire_a_bounded_value_is_the_value_and_a_longer_one_is_refused() {
        let text: Bounded<4> = "é&\"".try_into().unwrap();
        assert_eq!(serde_json::to_value(&text).unwrap(), json!("é&\""));
        assert_eq!(serde_json::from_value::<Bounded<4>>(json!("é&\"")).unwrap(), text);
        assert!(serde_json::from_value::<Bounded<4>>(json!("éé!")).is_err());
        let list: BoundedVec<u8, 2> = vec![1, 2].try_into().unwrap();
        assert_eq!(serde_json::to_value(&list).unwrap(), json!([1, 2]));
        assert!(serde_json::from_value::<BoundedVec<u8, 2>>(json!([1, 2, 3])).is_err());
        let map = BoundedMap::<String, u8, 1>::new(BTreeMap::from([("a".to_owned(), 1)])).unwrap();
        assert_eq!(serde_json::to_value(&map).unwrap(), json!({ "a": 1 }));
        assert!(serde_json::from_value::<BoundedMap<String, u8, 1>>(json!({ "a": 1, "b": 2 })).is_err());
        let raw = serde_json::from_str::<BoundedJson<9>>(r#"{ "a": 1}"#).unwrap();
        assert_eq!(serde_json::to_string(&raw).unwrap(), r#"{ "a": 1}"#);
        assert!(serde_json::from_str::<BoundedJson<8>>(r#"{ "a": 1}"#).is_err());
        assert_eq!(BoundedJson::<1>::new(RawJson::empty_object()), Err(TooLong { most: 1 }));
    }

    #[test]
    fn what_is_cut_is_cut_between_characters() {
        assert_eq!(Bounded::<4>::cut("éé!"), "éé");
        assert_eq!(Bounded::<3>::cut("éé!"), "é");
        assert_eq!(&*BoundedVec::<u8, 2>::cut(vec![1, 2, 3]), [1, 2]);
    }

    /// The other ids are ruma's to bound, unless a build asks it not to.
    #[test]
    fn no_identifier_is_longer_than_255_bytes() {
        let long = |sigil: &str, end: &str| format!("{sigil}{}{end}", "x".repeat(256 - sigil.len() - end.len()));
        assert!(OwnedUserId::try_from(long("@", ":x")).is_err());
        assert!(OwnedRoomId::try_from(long("!", ":x")).is_err());
        assert!(OwnedRoomId::try_from(long("!", "")).is_err());
        assert!(OwnedEventId::try_from(long("$", ":x")).is_err());
        assert!(OwnedEventId::try_from(long("$", "")).is_ok(), "ruma bounds it now");
        assert!(BoundedId::<OwnedEventId>::try_from(long("$", "").as_str()).is_err());
        assert!(BoundedId::<OwnedDeviceId>::new(long("", "")).is_err());
        assert!(serde_json::from_value::<BoundedId<OwnedDeviceId>>(json!(long("", ""))).is_err());
    }
}
