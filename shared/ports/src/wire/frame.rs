//! Encoding of frames.

use std::io::{self, Write};

use serde::{Serialize, de::DeserializeOwned};
use tern_model::MatrixError;

/// The version this build speaks.
pub const VERSION: u16 = 1;

/// A frame that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other side speaks another version.
    #[error("wire version {0} is not spoken here, this is version {VERSION}")]
    Version(String),
    /// Not a frame at all, or not of the expected shape.
    #[error("malformed frame: {0}")]
    Malformed(String),
}

impl From<FrameError> for MatrixError {
    fn from(_: FrameError) -> Self {
        Self::internal()
    }
}

/// Most frames are no longer.
const SHORT: usize = 256;
/// Up to here a frame is written into a buffer that grows.
const SMALL: usize = 16 * 1024;

/// Writes a command.
pub fn write<T: Serialize>(command: &T) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(SHORT);
    // Serialising our own types can only fail for maps with keys that are not strings; none has.
    match write_into(Measured { bytes: &mut bytes, most: SMALL, length: 0 }, command) {
        None => Vec::new(),
        Some(length) if length > SMALL => {
            // A buffer that grows takes up to three times what it holds. Now its length is known.
            let mut bytes = Vec::with_capacity(length);
            write_into(Measured { bytes: &mut bytes, most: length, length: 0 }, command)
                .map_or_else(Vec::new, |_| bytes)
        }
        Some(_) => bytes,
    }
}

fn write_into<T: Serialize>(mut out: Measured<'_>, command: &T) -> Option<usize> {
    writeln!(out, "{VERSION}").ok()?;
    serde_json::to_writer(&mut out, command).ok()?;
    Some(out.length)
}

/// Keeps what is written as long as it is short, and counts it in any case.
struct Measured<'a> {
    bytes: &'a mut Vec<u8>,
    most: usize,
    length: usize,
}

impl Write for Measured<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.length += buf.len();
        if self.length <= self.most {
            self.bytes.extend_from_slice(buf);
        }
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a command.
///
/// # Errors
/// When the version differs or the shape is unknown.
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, FrameError> {
    let text = std::str::from_utf8(bytes).map_err(|error| FrameError::Malformed(error.to_string()))?;
    let (version, json) = text.split_once('\n').ok_or_else(|| FrameError::Malformed("no version line".to_owned()))?;
    if version.parse() != Ok(VERSION) {
        return Err(FrameError::Version(version.chars().take(16).collect()));
    }
    serde_json::from_str(json).map_err(|error| FrameError::Malformed(error.to_string()))
}

/// Writes a reply.
pub fn write_reply<T: Serialize>(reply: &Result<T, MatrixError>) -> Vec<u8> {
    write(reply)
}

/// Reads a reply.
///
/// # Errors
/// The error in the reply, or 500 when the frame cannot be read.
pub fn read_reply<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, MatrixError> {
    read::<Result<T, MatrixError>>(bytes)?
}

#[cfg(test)]
mod tests {
    use super::{FrameError, read, read_reply, write, write_reply};
    use tern_model::MatrixError;

    #[test]
    fn a_frame_of_another_version_is_refused_by_name() {
        assert_eq!(read::<u8>(b"2\n7"), Err(FrameError::Version("2".to_owned())));
        assert!(matches!(read::<u8>(b"7"), Err(FrameError::Malformed(_))));
        assert_eq!(read::<u8>(&write(&7_u8)), Ok(7));
    }

    #[test]
    fn a_frame_of_any_length_is_as_long_as_its_buffer_if_it_is_long() {
        for length in [0, 1, 16_379, 16_380, 16_381, 16_382, 100_000, 1_000_000] {
            let (text, frame) = ("x".repeat(length), write(&"x".repeat(length)));
            assert_eq!(read::<String>(&frame), Ok(text));
            assert!(length < 20_000 || frame.capacity() == frame.len(), "{} for {}", frame.capacity(), frame.len());
        }
    }

    #[test]
    fn a_reply_carries_the_error_of_the_other_side() {
        let refused = write_reply::<u8>(&Err(MatrixError::forbidden("no")));
        assert_eq!(read_reply::<u8>(&refused), Err(MatrixError::forbidden("no")));
        assert_eq!(read_reply::<u8>(&write_reply(&Ok(7_u8))), Ok(7));
    }
}
