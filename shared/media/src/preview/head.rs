//! The head of a page, tokenised as browsers do.

use std::collections::BTreeMap;

use html5gum::{
    Span, Tokenizer,
    emitters::callback::{CallbackEmitter, CallbackEvent},
};

/// How many properties of a page are looked at.
const MAX_PROPERTIES: usize = 200;

/// Longest value that is kept, in bytes.
const MAX_VALUE: usize = 8_000;

/// What the head of a page says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The first value of each `<meta>`, by its `property` or `name` in small letters.
    properties: BTreeMap<String, String>,
    title: Option<String>,
    base: Option<String>,
    /// The value of `<meta charset>`, or the type in `<meta http-equiv="content-type">`.
    charset: Option<String>,
}

impl Head {
    /// Reads `html` up to the end of its head. What breaks off says what it said so far.
    #[must_use]
    pub fn read(html: &[u8]) -> Self {
        let mut reader = Reader::default();
        let mut emitter = CallbackEmitter::new(|event: CallbackEvent<'_>, _: Span<()>| reader.take(&event));
        emitter.naively_switch_states(true);
        // The only thing that comes out is that the head is over.
        let _over = Tokenizer::new_with_emitter(html, emitter).next();
        reader.head
    }

    /// What the page says it is; `name` is in small letters.
    #[must_use]
    pub fn property(&self, name: &str) -> Option<&str> {
        self.properties.get(name).map(String::as_str)
    }

    /// The text of `<title>`.
    #[must_use]
    pub fn title(&self) -> Option<&str> {
        self.title.as_deref()
    }

    /// The value of `<base href>`.
    #[must_use]
    pub fn base(&self) -> Option<&str> {
        self.base.as_deref()
    }

    /// The encoding that the page claims for itself.
    #[must_use]
    pub fn charset(&self) -> Option<&str> {
        self.charset.as_deref()
    }
}

/// The head is over.
struct Over;

#[derive(Default)]
struct Reader {
    head: Head,
    /// The element whose attributes come, or whose text does.
    element: Element,
    attribute: Vec<u8>,
    attributes: BTreeMap<&'static str, String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Element {
    #[default]
    Other,
    Meta,
    Base,
    Title,
}

/// The attributes that mean something here.
const ATTRIBUTES: [&str; 6] = ["property", "name", "content", "charset", "http-equiv", "href"];

impl Reader {
    fn take(&mut self, event: &CallbackEvent<'_>) -> Option<Over> {
        match event {
            CallbackEvent::OpenStartTag { name } => {
                self.attributes.clear();
                self.element = match *name {
                    b"meta" => Element::Meta,
                    b"base" => Element::Base,
                    b"title" => Element::Title,
                    b"body" => return Some(Over),
                    _ => Element::Other,
                };
            }
            CallbackEvent::AttributeName { name } => self.attribute = name.to_vec(),
            CallbackEvent::AttributeValue { value } => self.attribute(value),
            CallbackEvent::CloseStartTag { .. } => self.close(),
            CallbackEvent::String { value } if self.element == Element::Title => {
                self.head.title.get_or_insert_with(|| text(value));
            }
            CallbackEvent::EndTag { name } => {
                self.element = Element::Other;
                return (*name == b"head").then_some(Over);
            }
            _ => {}
        }
        None
    }

    fn attribute(&mut self, value: &[u8]) {
        let known = ATTRIBUTES.iter().find(|name| name.as_bytes() == self.attribute);
        if let Some(name) = known.filter(|_| matches!(self.element, Element::Meta | Element::Base)) {
            self.attributes.entry(name).or_insert_with(|| text(value));
        }
    }

    /// All attributes of the element are known.
    fn close(&mut self) {
        let mut take = |name| self.attributes.remove(name);
        match self.element {
            Element::Base => self.head.base = self.head.base.take().or_else(|| take("href")),
            Element::Meta => {
                if let Some(charset) = take("charset") {
                    self.head.charset.get_or_insert(charset);
                }
                let content = take("content");
                let declares = take("http-equiv").is_some_and(|name| name.eq_ignore_ascii_case("content-type"));
                let name = take("property").or_else(|| take("name"));
                let Some(content) = content else { return };
                if declares {
                    self.head.charset.get_or_insert(content);
                } else if let Some(name) = name.filter(|_| self.head.properties.len() < MAX_PROPERTIES) {
                    self.head.properties.entry(name.trim().to_ascii_lowercase()).or_insert(content);
                }
            }
            Element::Title | Element::Other => {}
        }
    }
}

fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.get(..MAX_VALUE).unwrap_or(value)).into_owned()
}
