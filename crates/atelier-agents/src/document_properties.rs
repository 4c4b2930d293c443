//! Random files: whatever a user's file looks like, an entry goes in and out, and nothing else changes.

use proptest::prelude::*;
use serde_json::{Map, json};

use super::*;

const JSON: Format = Format::Json("{}");

/// What may stand between two tokens; each comment is another one.
fn gap() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => Just(String::new()),
        3 => "[ ]{1,3}",
        3 => "\n[ ]{0,4}",
        1 => "\t",
        1 => "\r\n  ",
        1 => "/\\* [a-z]{8} \\*/",
        1 => "// [a-z]{8}, \\{ \" \\}\n",
    ]
}

/// Text of a JSON value.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("true".to_owned()),
        Just("-1.5e3".to_owned()),
        Just("null".to_owned()),
        "[a-z/*{},\u{e9} ]{0,6}".prop_map(|text| Value::from(text).to_string()),
        Just("\"a \\\" \\\\ b\"".to_owned()),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| prop_oneof![object("k", inner.clone()), list(inner)])
}

fn list(inner: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (prop::collection::vec((gap(), inner, gap()), 0..3), gap(), any::<bool>()).prop_map(
        |(items, end, comma)| {
            let items: Vec<_> = items.into_iter().map(|(a, v, b)| a + &v + &b).collect();
            let comma = if comma && !items.is_empty() { "," } else { "" };
            format!("[{}{comma}{end}]", items.join(","))
        },
    )
}

fn object(
    name: &'static str,
    inner: impl Strategy<Value = String>,
) -> impl Strategy<Value = String> {
    let field = (gap(), gap(), gap(), inner, gap());
    (prop::collection::vec(field, 0..3), gap(), any::<bool>()).prop_map(
        move |(fields, end, comma)| {
            let field =
                |(at, (a, b, c, v, d)): (usize, _)| format!("{a}\"{name}{at}\"{b}:{c}{v}{d}");
            let fields: Vec<String> = fields.into_iter().enumerate().map(field).collect();
            let comma = if comma && !fields.is_empty() { "," } else { "" };
            format!("{{{}{comma}{end}}}", fields.join(","))
        },
    )
}

/// A whole file, with servers or without.
fn file() -> impl Strategy<Value = String> {
    let servers = object("mine", object("f", value()));
    let with = (gap(), value(), gap(), servers, gap(), value(), gap(), gap()).prop_map(
        |(a, before, b, servers, c, after, d, e)| {
            format!("{a}{{{b}\"x\":{before},{c}\"servers\": {servers},\"y\"{d}:{after}}}{e}")
        },
    );
    prop_oneof![object("x", value()), with]
}

fn parsed(text: &str) -> Map<String, Value> {
    let root = jsonc_parser::cst::CstRootNode::parse(text, &jsonc_parser::ParseOptions::default());
    let value = root.unwrap().to_serde_value().unwrap();
    value.as_object().unwrap().clone()
}

fn comments(text: &str) -> Vec<&str> {
    let words = text.split(|c: char| !c.is_ascii_lowercase());
    words.filter(|word| word.len() == 8).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn an_entry_goes_in_and_out_and_nothing_else_changes(text in file()) {
        let fields = vec![("command", json!("x")), ("args", json!(["y"])), ("env", json!({"A": "1"}))];
        let managed = ["command", "args", "env"];
        let mut document = Document::parse(JSON, "servers", &text).ok().unwrap();
        document.put("ours", &fields, &managed);
        let with = document.text();
        let mut expected = parsed(&text);
        expected.entry("servers").or_insert_with(|| json!({}))["ours"] = crate::shape::entry(&fields);
        prop_assert_eq!(parsed(&with), expected, "{}", with);
        prop_assert_eq!(comments(&with), comments(&text), "{}", with);

        let mut again = Document::parse(JSON, "servers", &with).ok().unwrap();
        again.put("ours", &fields, &managed);
        prop_assert_eq!(again.text(), with, "twice is the same as once");

        let remote = vec![("url", json!("https://x"))];
        again.put("ours", &remote, &["command", "args", "env", "url"]);
        prop_assert_eq!(again.entry("ours"), Some(json!({"url": "https://x"})));
        let remote = again.text();
        prop_assert_eq!(comments(&remote), comments(&text));

        again.take("ours");
        let without = again.text();
        let mut expected = parsed(&text);
        if expected.get("servers") == Some(&json!({})) && !parsed(&without).contains_key("servers") {
            expected.remove("servers");
        }
        prop_assert_eq!(parsed(&without), expected, "{}", without);
        prop_assert_eq!(comments(&without), comments(&text), "{}", without);
    }
}
