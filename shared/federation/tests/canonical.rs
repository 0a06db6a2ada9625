//! Canonical JSON as it is signed: known texts, and what holds for all.

#![expect(clippy::panic, reason = "a test stops at the first surprise")]

use proptest::prelude::{Just, Strategy, any, prop_oneof, proptest};
use serde_json::{Map, Value};
use tern_federation::canonical::{CanonicalError, object, object_without};

fn canonical(text: &str) -> String {
    object(text.as_bytes()).unwrap_or_else(|error| panic!("{text}: {error}"))
}

#[test]
fn texts_of_the_specification_and_of_the_field() {
    for (text, expected) in [
        ("{}", "{}"),
        (" { \"one\" : 1 , \"two\" : \"Two\" } \n", r#"{"one":1,"two":"Two"}"#),
        (r#"{"b":"2","a":"1"}"#, r#"{"a":"1","b":"2"}"#),
        (
            r#"{"a":{"d":[ {"f":1,"e":2} , [ ] ],"c":null},"":true}"#,
            r#"{"":true,"a":{"c":null,"d":[{"e":2,"f":1},[]]}}"#,
        ),
        (r#"{"本":2,"日":1}"#, r#"{"日":1,"本":2}"#),
        (r#"{"a":"日","b":"\u65e5"}"#, r#"{"a":"日","b":"日"}"#),
        (r#"{"a":"\/\"\\\n\u0001\u001f\u007f"}"#, "{\"a\":\"/\\\"\\\\\\n\\u0001\\u001f\u{7f}\"}"),
        (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        // Beyond the Basic Multilingual Plane code points and UTF-16 are ordered differently.
        ("{\"\u{1F600}\":1,\"\u{FF01}\":2}", "{\"\u{FF01}\":2,\"\u{1F600}\":1}"),
        (r#"{"a":1,"b":2,"a":3}"#, r#"{"a":3,"b":2}"#),
        (
            r#"{"a":[1.50,1e20,1E+2,-0,0.1,1152921504606846976,1e400]}"#,
            r#"{"a":[1.50,1e20,1E+2,-0,0.1,1152921504606846976,1e400]}"#,
        ),
        (r#"{"a\"":"}","b":"[,"}"#, r#"{"a\"":"}","b":"[,"}"#),
    ] {
        assert_eq!(canonical(text), expected, "{text}");
    }
}

#[test]
fn members_are_left_out_at_the_top_alone() {
    let text = br#"{"signatures":{"a":1},"b":{"signatures":2},"unsigned":[1,2],"a":1}"#;
    assert_eq!(object_without(text, &["signatures", "unsigned"]).as_deref(), Ok(r#"{"a":1,"b":{"signatures":2}}"#));
    assert_eq!(object_without(br#"{"\u0061":1}"#, &["a"]).as_deref(), Ok("{}"));
}

#[test]
fn what_is_no_object_or_too_deep_is_refused() {
    for text in
        ["", "{", "{}}", "{\"a\"}", "{a:1}", "{\"a\":01}", "{\"a\":NaN}", "{\"a\":\"\u{1}\"}", "{\"a\":\"\\ud800\"}"]
    {
        assert_eq!(object(text.as_bytes()), Err(CanonicalError::NotJson), "{text}");
    }
    assert_eq!(object(b"{\"a\":\"\xff\"}"), Err(CanonicalError::NotJson));
    for text in ["[]", "1", "\"{}\"", "null"] {
        assert_eq!(object(text.as_bytes()), Err(CanonicalError::NotAnObject), "{text}");
    }
    let nested = |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(canonical(&nested(100)), nested(100));
    assert_eq!(object(nested(101).as_bytes()), Err(CanonicalError::TooDeep));
    assert_eq!(object(nested(500_000).as_bytes()), Err(CanonicalError::TooDeep));
}

/// Values whose numbers are written the same by everybody.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "\\PC{0,8}|[\"\\\\\n\t]{0,4}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map("[a-c\"é]{0,3}", inner, 0..6)
                .prop_map(|members| members.into_iter().collect::<Map<_, _>>().into()),
        ]
    })
}

proptest! {
    /// serde_json writes maps in the order of their names, without blanks, and strings with the fewest escapes.
    #[test]
    fn it_is_what_a_serialiser_of_sorted_maps_writes(value in value()) {
        let whole = Value::Object([("x".to_owned(), value)].into_iter().collect());
        let pretty = serde_json::to_string_pretty(&whole).unwrap();
        let canonical = canonical(&pretty);
        assert_eq!(canonical, serde_json::to_string(&whole).unwrap());
        assert_eq!(object(canonical.as_bytes()), Ok(canonical));
    }

    #[test]
    fn no_text_is_too_strange(text in "[{}\\[\\]:,\"\\\\a1 e.-]{0,40}") {
        let accepted = serde_json::from_str::<Value>(&text).is_ok_and(|value| value.is_object());
        if accepted { object(text.as_bytes()).unwrap(); }
    }
}
