//! Identifiers that ruma lets be of any length.

use std::{fmt, ops::Deref};

use serde::{Deserialize, Deserializer, Serialize, de::Error as _};

use super::{TooLong, check};

/// An identifier of at most 255 bytes (Appendices, "Common identifier format"). ruma's ids of users, rooms and aliases are
/// bounded already, those of events without a server name and of devices are not.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct BoundedId<T>(T);

impl<T: AsRef<str>> BoundedId<T> {
    /// The most bytes there may be.
    pub const MOST: usize = 255;

    /// Keeps `id` as it is.
    ///
    /// # Errors
    /// When it is too long.
    pub fn new(id: impl Into<T>) -> Result<Self, TooLong> {
        let id = id.into();
        check(id.as_ref().len(), Self::MOST).map(|()| Self(id))
    }
}

impl<T> BoundedId<T> {
    /// The identifier, without its bound.
    pub fn into_id(self) -> T {
        self.0
    }
}

impl<T> Deref for BoundedId<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: AsRef<str>> fmt::Display for BoundedId<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.0.as_ref())
    }
}

impl<T: PartialEq> PartialEq<T> for BoundedId<T> {
    fn eq(&self, other: &T) -> bool {
        self.0 == *other
    }
}

impl<T: AsRef<str>> TryFrom<&str> for BoundedId<T>
where
    T: for<'a> TryFrom<&'a str>,
{
    type Error = TooLong;

    /// An id of another form is as good as one that is too long: both are refused.
    fn try_from(text: &str) -> Result<Self, TooLong> {
        let too_long = TooLong { most: Self::MOST };
        check(text.len(), Self::MOST)?;
        T::try_from(text).map(Self).map_err(|_| too_long)
    }
}

impl<'de, T: Deserialize<'de> + AsRef<str>> Deserialize<'de> for BoundedId<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::new(T::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
