//! What another server answers to a request for media: the size of pieces in the first byte, then the answer.

use tern_media::multipart::{Event, Malformed, Reader};

/// It is the same answer in whatever pieces it comes, and of its content little is held back.
pub(crate) fn multipart(data: &[u8]) {
    let Some((size, answer)) = data.split_first() else { return };
    let whole = read([answer].into_iter());
    let pieces = read(answer.chunks(usize::from(*size).max(1)));
    match (whole, pieces) {
        (Ok(whole), Ok(pieces)) => assert_eq!(whole, pieces, "depends on the pieces"),
        // Too much before the content is noticed when it is held, which depends on the pieces.
        (whole, pieces) => assert!(whole.is_err() || pieces.is_err()),
    }
}

/// What was found: not the content, then the content's bytes.
fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Result<(Vec<Event>, Vec<u8>), Malformed> {
    let mut reader = Reader::of("multipart/mixed; boundary=b")?;
    let (mut events, mut content) = (Vec::new(), Vec::new());
    for piece in pieces {
        for event in reader.push(piece)? {
            match event {
                Event::Bytes(bytes) => content.extend(bytes),
                event => events.push(event),
            }
        }
        assert!(reader.held() <= (16 << 10) + piece.len(), "held back");
    }
    reader.finish()?;
    Ok((events, content))
}
