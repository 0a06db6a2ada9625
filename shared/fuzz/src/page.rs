//! A page that somebody wants a preview of.

use tern_media::preview::{Head, MAX_TEXT, Preview, charset};
use url::Url;

/// Every text of a preview is cut.
pub(crate) fn page(data: &[u8]) {
    let url = Url::parse("https://example.org/page").expect("it is an address");
    assert!(charset::label("text/html", data).len() <= data.len() + 64, "a name of a character set");
    let preview = Preview::of(&Head::read(data), &url);
    let texts = [&preview.title, &preview.description, &preview.site_name, &preview.kind];
    let longest = texts.into_iter().flatten().map(|text| text.chars().count()).max();
    assert!(longest.unwrap_or_default() <= MAX_TEXT + 1, "a text is cut");
}
