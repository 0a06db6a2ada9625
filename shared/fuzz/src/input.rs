//! What targets take their input for.

use tern_model::RawJson;

/// The input as JSON; most inputs are none.
pub(crate) fn json(data: &[u8]) -> Option<RawJson> {
    RawJson::parse(std::str::from_utf8(data).ok()?.to_owned()).ok()
}

/// The input in two parts, at its first line break.
pub(crate) fn halves(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let at = data.iter().position(|byte| *byte == b'\n')?;
    let (first, second) = data.split_at(at);
    Some((first, second.get(1..)?))
}
