//! What a page says about itself, for a preview of its address (Client-Server API, `GET /media/preview_url`; the Open Graph
//! protocol). The page is anybody's: every text is cut and cleaned.

pub mod charset;
mod head;

use serde::{Deserialize, Serialize};
use url::Url;

pub use head::Head;

/// Longest text of a preview, in characters.
pub const MAX_TEXT: usize = 1_000;

/// Longest address in one, in bytes.
const MAX_URL: usize = 2_000;

/// A preview as a client gets it; empty when the page says nothing about itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preview {
    /// Its title.
    #[serde(rename = "og:title", skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is about.
    #[serde(rename = "og:description", skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What it is part of.
    #[serde(rename = "og:site_name", skip_serializing_if = "Option::is_none")]
    pub site_name: Option<String>,
    /// What kind of thing it is.
    #[serde(rename = "og:type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Its own address.
    #[serde(rename = "og:url", skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Its picture.
    #[serde(flatten)]
    pub picture: Option<Picture>,
}

/// The picture of a preview, which this server keeps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Its `mxc://` URI.
    #[serde(rename = "og:image")]
    pub uri: String,
    /// Its content type.
    #[serde(rename = "og:image:type")]
    pub content_type: String,
    /// In pixels, as it is seen.
    #[serde(rename = "og:image:width")]
    pub width: u32,
    /// In pixels.
    #[serde(rename = "og:image:height")]
    pub height: u32,
    /// In bytes.
    #[serde(rename = "matrix:image:size")]
    pub size: u64,
    /// What can be seen.
    #[serde(rename = "og:image:alt", skip_serializing_if = "Option::is_none")]
    pub alt: Option<String>,
}

impl Preview {
    /// What `head` says of the page at `url`, without a picture.
    #[must_use]
    pub fn of(head: &Head, url: &Url) -> Self {
        let text = |names: &[&str]| names.iter().find_map(|name| head.property(name)).and_then(cleaned);
        Self {
            title: text(&["og:title", "twitter:title"]).or_else(|| head.title().and_then(cleaned)),
            description: text(&["og:description", "twitter:description", "description"]),
            site_name: text(&["og:site_name"]),
            kind: text(&["og:type"]),
            url: head.property("og:url").and_then(|text| address(text, url)).map(String::from),
            picture: None,
        }
    }
}

/// Where the picture of the page at `url` is, and what can be seen on it.
#[must_use]
pub fn picture(head: &Head, url: &Url) -> Option<(Url, Option<String>)> {
    const NAMES: [&str; 4] = ["og:image:secure_url", "og:image", "og:image:url", "twitter:image"];
    let base = head.base().and_then(|base| address(base, url)).unwrap_or_else(|| url.clone());
    let found = NAMES.iter().filter_map(|name| head.property(name)).find_map(|text| address(text, &base))?;
    Some((found, head.property("og:image:alt").and_then(cleaned)))
}

/// An address on the web, as a page at `base` means it.
fn address(text: &str, base: &Url) -> Option<Url> {
    let url = base.join(text.trim()).ok()?;
    (matches!(url.scheme(), "http" | "https") && url.as_str().len() <= MAX_URL).then_some(url)
}

/// Text on one line, without control characters and what turns the direction of what stands beside it; `None` when nothing
/// is left.
fn cleaned(text: &str) -> Option<String> {
    let turns = |letter: char| matches!(letter, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
    let mut line = String::new();
    for word in text.split(|letter: char| letter.is_whitespace() || letter.is_control()) {
        let word = word.chars().filter(|letter| !turns(*letter));
        let before = line.len();
        if before > 0 {
            line.push(' ');
        }
        let start = line.len();
        line.extend(word);
        if line.len() == start {
            line.truncate(before);
        }
    }
    let line: String = line.chars().take(MAX_TEXT).collect();
    (!line.is_empty()).then_some(line)
}
