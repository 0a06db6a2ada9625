//! Which encoding a page is in (Encoding Standard; HTML, "Determining the character encoding").

use super::Head;
use crate::parameter;

/// How much of a page is searched for what it claims, in bytes.
const CLAIM: usize = 4_096;

/// The label of the encoding of `page`, which came with this `Content-Type`: of its byte order mark, else of the header,
/// else as it claims itself, else UTF-8.
#[must_use]
pub fn label(content_type: &str, page: &[u8]) -> String {
    let mark = [(&b"\xef\xbb\xbf"[..], "utf-8"), (b"\xff\xfe", "utf-16le"), (b"\xfe\xff", "utf-16be")];
    if let Some((_, label)) = mark.iter().find(|(mark, _)| page.starts_with(mark)) {
        return (*label).to_owned();
    }
    if let Some(label) = declared(content_type) {
        return label;
    }
    let head = Head::read(page.get(..CLAIM).unwrap_or(page));
    let claimed = head.charset().and_then(|claim| if claim.contains('=') { declared(claim) } else { proper(claim) });
    match claimed {
        // It could be read so far, so it is not in this one.
        Some(label) if label.starts_with("utf-16") => "utf-8".to_owned(),
        Some(label) => label,
        None => "utf-8".to_owned(),
    }
}

fn declared(content_type: &str) -> Option<String> {
    let (_, parameters) = content_type.split_once(';')?;
    parameter::find(parameters, "charset").as_deref().and_then(proper)
}

/// A label that can be one.
fn proper(label: &str) -> Option<String> {
    let label = label.trim().to_ascii_lowercase();
    let letter = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
    (!label.is_empty() && label.len() <= 40 && label.bytes().all(letter)).then_some(label)
}
