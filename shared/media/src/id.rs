//! Media ids.

use tern_model::MatrixError;

/// Longest media id that is looked up, in bytes.
const MAX_LEN: usize = 255;

/// The part of an `mxc://` URI after the server: letters, digits, `_` and `-` alone, so that it can never be read as a path
/// (Client-Server API, "Content repository", security considerations).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaId(String);

impl MediaId {
    /// Bytes of randomness in an id made here.
    pub const RANDOM_BYTES: usize = 18;

    /// An id out of [`Self::RANDOM_BYTES`] random bytes: nobody guesses another's.
    #[must_use]
    pub fn random(bytes: [u8; Self::RANDOM_BYTES]) -> Self {
        const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let groups = bytes.chunks(3).flat_map(|group| {
            let bits = group.iter().fold(0_u32, |bits, byte| (bits << 8) | u32::from(*byte));
            [bits >> 18, bits >> 12, bits >> 6, bits].map(|sextet| sextet & 63)
        });
        let letter =
            |sextet| usize::try_from(sextet).ok().and_then(|at| ALPHABET.get(at)).map(|byte| char::from(*byte));
        Self(groups.filter_map(letter).collect())
    }

    /// An id as a client gave it.
    ///
    /// # Errors
    /// 400 `M_INVALID_PARAM` for every other character, and for a longer one.
    pub fn parse(text: &str) -> Result<Self, MatrixError> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
        if text.is_empty() || text.len() > MAX_LEN || !text.bytes().all(allowed) {
            return Err(MatrixError::invalid_param("Not a media id"));
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::MediaId;

    #[test]
    fn a_random_id_is_one_that_is_accepted() {
        let bytes = std::array::from_fn(|at| u8::try_from(at * 13 % 256).unwrap_or(0));
        let id = MediaId::random(bytes);
        assert_eq!(id.as_str().len(), 24);
        assert_eq!(MediaId::parse(id.as_str()), Ok(id));
        assert_ne!(MediaId::random([255; 18]), MediaId::random([254; 18]));
    }

    #[test]
    fn an_id_is_never_a_path() {
        for text in ["", "..", "a/b", "a%2fb", "a.b", "ä", "a b", "a\0", &"x".repeat(256)] {
            assert!(MediaId::parse(text).is_err(), "{text:?}");
        }
    }
}
