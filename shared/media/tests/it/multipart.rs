//! What one homeserver writes, another reads, whatever comes in between.

use proptest::prelude::*;

use tern_media::{
    FileName,
    multipart::{Boundary, Described, Event, Malformed, Reader, closing, opening, redirection},
};

fn boundary() -> Boundary {
    Boundary::random([7; 18])
}

/// Everything `text` brings when it comes in pieces of `size` bytes; the pieces of the content in one.
fn read(content_type: &str, text: &[u8], size: usize) -> Result<Vec<Event>, Malformed> {
    let mut reader = Reader::of(content_type)?;
    let mut events: Vec<Event> = Vec::new();
    for piece in text.chunks(size) {
        for event in reader.push(piece)? {
            match (events.last_mut(), event) {
                (Some(Event::Bytes(bytes)), Event::Bytes(more)) => bytes.extend(more),
                (_, event) => events.push(event),
            }
        }
    }
    reader.finish()?;
    Ok(events)
}

fn described(content_type: &str, name: Option<&str>) -> Described {
    Described { content_type: content_type.to_owned(), name: name.and_then(FileName::clean) }
}

fn file(media: &Described, content: &[u8]) -> Vec<u8> {
    [opening(&boundary(), media).as_bytes(), content, closing(&boundary()).as_bytes()].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_again_in_whatever_pieces(
        content in prop::collection::vec(prop_oneof![Just(b'\r'), Just(b'\n'), Just(b'-'), any::<u8>()], 0..400),
        name in prop::option::of("\\PC{1,40}"),
        size in 1_usize..80,
    ) {
        let media = described("image/png", name.as_deref());
        let mut expected = vec![Event::Content(media.clone())];
        if !content.is_empty() {
            expected.push(Event::Bytes(content.clone()));
        }
        expected.push(Event::End);
        assert_eq!(read(&boundary().content_type(), &file(&media, &content), size), Ok(expected));
    }

    #[test]
    fn a_damaged_answer_does_no_harm(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        size in 1_usize..40,
    ) {
        let mut text = file(&described("text/plain", Some("größe \"x\".txt")), &[b'x'; 100]);
        for (at, byte) in damage {
            let at = at.index(text.len());
            text[at] = byte;
        }
        text.truncate(cut.index(text.len()) + 1);
        if let Ok(events) = read(&boundary().content_type(), &text, size) {
            let content: usize = events.iter().map(|event| if let Event::Bytes(bytes) = event { bytes.len() } else { 0 }).sum();
            assert!(content <= text.len());
        }
    }

    #[test]
    fn whatever_comes_is_read_in_little_memory(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..9000), 0..6)) {
        let mut reader = Reader::of("multipart/mixed; boundary=x").unwrap();
        for piece in pieces {
            if reader.push(&piece).is_err() {
                break;
            }
            assert!(reader.held() <= 16 << 10);
        }
    }
}

#[test]
fn what_others_write_is_understood() {
    let synapse = b"\r\n--abc\r\nContent-Type: application/json\r\n\r\n{}\r\n--abc\r\nContent-Type: image/png\r\n\
        Content-Disposition: inline; filename*=utf-8''gr%C3%B6%C3%9Fe.png\r\n\r\n\x89PNG\r\n--ab\r\n--abc--\r\n";
    let expected = vec![
        Event::Content(described("image/png", Some("größe.png"))),
        Event::Bytes(b"\x89PNG\r\n--ab".to_vec()),
        Event::End,
    ];
    for size in [1, 7, 4096] {
        assert_eq!(read("Multipart/Mixed; charset=x; boundary=\"abc\"", synapse, size), Ok(expected.clone()));
    }
    let bare = b"--abc \r\n\r\n{}\r\n--abc\r\n\r\nx\r\n--abc--";
    let bytes =
        vec![Event::Content(described("application/octet-stream", None)), Event::Bytes(b"x".to_vec()), Event::End];
    assert_eq!(read("multipart/mixed;boundary=abc", bare, 3), Ok(bytes));
}

#[test]
fn media_may_be_elsewhere() {
    let text = redirection(&boundary(), "https://cdn.example/a?b=c");
    let elsewhere = Event::Elsewhere("https://cdn.example/a?b=c".to_owned());
    for size in [1, 5, 4096] {
        assert_eq!(read(&boundary().content_type(), text.as_bytes(), size), Ok(vec![elsewhere.clone()]));
    }
}

#[test]
fn what_is_no_such_answer_is_refused() {
    for content_type in [
        "image/png",
        "multipart/mixed",
        "multipart/mixed; boundary=",
        "multipart/form-data; boundary=x",
        "multipart/mixed; boundary=\"a\r\nb\"",
        &format!("multipart/mixed; boundary={}", "x".repeat(71)),
    ] {
        assert_eq!(Reader::of(content_type).map(|_| ()), Err(Malformed), "{content_type}");
    }
    for text in [
        "",
        "--x\r\n\r\n{}\r\n--x--\r\n",
        "--x\r\n\r\n{}\r\n--x\r\n\r\nbreaks off",
        "--x\r\nno colon\r\n\r\n{}\r\n--x\r\n\r\nc\r\n--x--",
        "--xy\r\n\r\n{}\r\n--xy\r\n\r\nc\r\n--xy--",
    ] {
        assert_eq!(read("multipart/mixed; boundary=x", text.as_bytes(), 3), Err(Malformed), "{text:?}");
    }
    let endless = [b"--x\r\nA: ".as_slice(), &vec![b'a'; 20_000]].concat();
    assert_eq!(read("multipart/mixed; boundary=x", &endless, 1000), Err(Malformed));
}
