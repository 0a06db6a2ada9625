//! Whether a picture moves, by its structure alone.

/// Whether the file has more than one frame, or says that it is an animation. What is damaged does not move.
pub(crate) fn moves(file: &[u8]) -> bool {
    match file {
        [b'G', b'I', b'F', ..] => frames(file).is_some_and(|frames| frames > 1),
        [0x89, b'P', b'N', b'G', ..] => has_control(file),
        // The extended header's flag.
        [b'R', b'I', b'F', b'F', ..] => {
            file.get(12..16) == Some(b"VP8X") && file.get(20).is_some_and(|flags| flags & 2 != 0)
        }
        _ => false,
    }
}

/// Frames of a GIF, counted up to two (GIF89a, appendix B).
fn frames(file: &[u8]) -> Option<usize> {
    let table = |flags: u8| if flags & 0x80 == 0 { 0 } else { 3 << ((flags & 7) + 1) };
    let mut at = 13 + table(*file.get(10)?);
    let mut frames = 0;
    loop {
        match *file.get(at)? {
            0x2c => {
                frames += 1;
                if frames > 1 {
                    return Some(frames);
                }
                at = blocks(file, at + 11 + table(*file.get(at + 9)?))?;
            }
            0x21 => at = blocks(file, at + 2)?,
            _ => return Some(frames),
        }
    }
}

/// Where a row of data blocks ends.
fn blocks(file: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let length = usize::from(*file.get(at)?);
        at += 1 + length;
        if length == 0 {
            return Some(at);
        }
    }
}

/// Whether the chunk that makes a PNG an animation stands before its pixels.
fn has_control(file: &[u8]) -> bool {
    let mut at = 8;
    while let Some([a, b, c, d, kind @ ..]) = file.get(at..at + 8) {
        match kind {
            b"acTL" => return true,
            b"IDAT" => return false,
            _ => {}
        }
        let length = u32::from_be_bytes([*a, *b, *c, *d]);
        let Some(next) = usize::try_from(length).ok().and_then(|length| at.checked_add(length)?.checked_add(12)) else {
            return false;
        };
        at = next;
    }
    false
}
