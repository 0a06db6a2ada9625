//! What pages say about themselves, and what they try.

use proptest::prelude::*;
use tern_media::preview::{Head, MAX_TEXT, Preview, charset, picture};
use url::Url;

fn page() -> Url {
    Url::parse("https://example.org/blog/post?x=1").unwrap()
}

fn preview(html: &str) -> Preview {
    Preview::of(&Head::read(html.as_bytes()), &page())
}

fn pictured(html: &str) -> Option<String> {
    picture(&Head::read(html.as_bytes()), &page()).map(|(url, _)| url.to_string())
}

#[test]
fn a_page_says_what_it_is() {
    let html = r#"<!doctype html><HTML prefix="og: https://ogp.me/ns#"><head>
        <meta charset=utf-8><title>Not this &amp; that</title><script>"<meta property='og:title' content='nor this'>"</script>
        <meta property="og:title" content="A &quot;post&quot; &amp; more&hellip;"/>
        <META NAME=description CONTENT='In
           two   lines'><meta property=og:title content=second>
        <meta content="article" property="OG:Type"><meta property="og:site_name" content="The  blog">
        <meta property="og:url" content="/canonical"><!-- <meta property="og:image" content="/comment.png"> -->
        <meta property="og:image" content="../a b.png"><meta property="og:image:alt" content="A cat"></head>
        <body><meta property="og:description" content="of the body"></body>"#;
    let expected = serde_json::json!({
        "og:title": "A \"post\" & more…", "og:description": "In two lines", "og:site_name": "The blog",
        "og:type": "article", "og:url": "https://example.org/canonical",
    });
    assert_eq!(serde_json::to_value(preview(html)).unwrap(), expected);
    let (url, alt) = picture(&Head::read(html.as_bytes()), &page()).unwrap();
    assert_eq!((url.as_str(), alt.as_deref()), ("https://example.org/a%20b.png", Some("A cat")));
}

#[test]
fn a_page_without_open_graph_has_a_title() {
    let html = "<title>\n Plain &lt;page&gt; </title><meta name=description content=Words><p>text";
    let expected = serde_json::json!({ "og:title": "Plain <page>", "og:description": "Words" });
    assert_eq!(serde_json::to_value(preview(html)).unwrap(), expected);
    for nothing in ["", "text", "<title></title>", "<body><title>late</title>", "<meta property=og:title>"] {
        assert_eq!(preview(nothing), Preview::default(), "{nothing}");
    }
}

#[test]
fn a_picture_is_on_the_web() {
    let of = |content: &str| pictured(&format!("<meta property=og:image content=\"{content}\">"));
    assert_eq!(of("//cdn.example/x").as_deref(), Some("https://cdn.example/x"));
    assert_eq!(of("x.png").as_deref(), Some("https://example.org/blog/x.png"));
    for other in
        ["data:image/png;base64,AAAA", "file:///etc/passwd", "javascript:alert(1)", "http://", &"x".repeat(3000)]
    {
        assert_eq!(of(other), None, "{other}");
    }
    let based = "<base href='https://static.example/a/'><base href=/b/><meta property=og:image content=x.png>";
    assert_eq!(pictured(based).as_deref(), Some("https://static.example/a/x.png"));
    let second = "<meta property=og:image:secure_url content=data:,><meta name=twitter:image content=/t.png>";
    assert_eq!(pictured(second).as_deref(), Some("https://example.org/t.png"));
}

#[test]
fn texts_are_cut_and_cleaned() {
    let long = preview(&format!("<title>{}</title>", "ä ".repeat(5000))).title.unwrap();
    assert_eq!(long.chars().count(), MAX_TEXT);
    let turned = "<title>a\u{202e}b \u{2066} c\u{1}\u{7f}d</title>";
    assert_eq!(preview(turned).title.as_deref(), Some("ab c d"));
    let many: Vec<_> = (0..10_000).map(|at| format!("<meta name=x{at} content=y>")).collect();
    let many = many.concat();
    let head = Head::read(many.as_bytes());
    assert_eq!((head.property("x199"), head.property("x200")), (Some("y"), None));
}

#[test]
fn the_encoding_is_what_is_said_first() {
    let label = |content_type: &str, page: &[u8]| charset::label(content_type, page);
    let claims = b"<meta charset=Shift_JIS>";
    assert_eq!(label("text/html", b"<title>"), "utf-8");
    assert_eq!(label("text/html; charset=\"ISO-8859-1\"", claims), "iso-8859-1");
    assert_eq!(label("text/html", claims), "shift_jis");
    assert_eq!(
        label("text/html;charset=", b"<meta http-equiv=Content-Type content='text/html; charset=koi8-r'>"),
        "koi8-r"
    );
    assert_eq!(label("text/html; charset=koi8-r", b"\xef\xbb\xbf"), "utf-8");
    assert_eq!(label("text/html", b"\xff\xfe<\0"), "utf-16le");
    assert_eq!(label("text/html", b"<meta charset=utf-16>"), "utf-8");
    assert_eq!(label("text/html; charset=<script>", b""), "utf-8");
    let late = [&[b' '; 5000], claims.as_slice()].concat();
    assert_eq!(label("text/html", &late), "utf-8");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_page_its_texts_are_short_and_plain(
        pieces in prop::collection::vec(
            prop_oneof![
                Just("<meta property=og:title content=".to_owned()), Just("<title>".to_owned()), Just("</title>".to_owned()),
                Just("<base href=".to_owned()), Just("'".to_owned()), Just(">".to_owned()), Just("&#x202e;".to_owned()),
                Just("<script>".to_owned()), Just("<!--".to_owned()), "\\PC{0,30}", "[\\x00-\\x20&#;<>/a-z]{0,20}",
            ],
            0..40,
        ),
        cut in any::<prop::sample::Index>(),
    ) {
        let html = pieces.concat();
        let bytes = &html.as_bytes()[..cut.index(html.len() + 1)];
        let _label = charset::label("text/html", bytes);
        let head = Head::read(bytes);
        let preview = Preview::of(&head, &page());
        for text in [preview.title, preview.description].into_iter().flatten() {
            assert!(!text.is_empty() && text.chars().count() <= MAX_TEXT);
            assert!(!text.contains(|letter: char| letter.is_control() || ('\u{202a}'..='\u{202e}').contains(&letter)));
        }
        if let Some((url, _)) = picture(&head, &page()) {
            assert!(matches!(url.scheme(), "http" | "https"));
        }
    }

    #[test]
    fn noise_does_no_harm(noise in prop::collection::vec(any::<u8>(), 0..600)) {
        let _preview = Preview::of(&Head::read(&noise), &page());
    }
}
