//! What editing keeps, and what it refuses.

use serde_json::json;

use super::*;

const JSON: Format = Format::Json("{}");

fn put(format: Format, key: &'static str, text: &str) -> String {
    let mut document = Document::parse(format, key, text).ok().unwrap();
    document.put(
        "a",
        &vec![("command", json!("x")), ("args", json!(["y"]))],
        &["command", "args", "env"],
    );
    document.text()
}

fn flaw(format: Format, text: &str) -> Flaw {
    match Document::parse(format, "servers", text) {
        Ok(_) => panic!("{text} was taken"),
        Err(flaw) => flaw,
    }
}

#[test]
fn an_existing_entry_is_changed_field_by_field() {
    let text = "{\n  \"servers\": {\n    \"a\": {\n      // mine\n      \"command\": \"old\", // why\n      \"env\": {\"K\": \"1\"},\n      \"trust\": true\n    }\n  }\n}\n";
    assert_eq!(
        put(JSON, "servers", text),
        "{\n  \"servers\": {\n    \"a\": {\n      // mine\n      \"command\": \"x\", // why\n      \"trust\": true,\n      \"args\": [\n        \"y\"\n      ]\n    }\n  }\n}\n"
    );
    let text = "[servers.a]\n# mine\ncommand = \"old\" # why\ntrust = true\n\n[servers.a.env]\nK = \"1\"\n\n[z]\n";
    assert_eq!(
        put(Format::Toml, "servers", text),
        "[servers.a]\n# mine\ncommand = \"x\" # why\ntrust = true\nargs = [\"y\"]\n\n[z]\n"
    );
}

#[test]
fn entries_in_other_styles_are_changed_in_theirs() {
    assert_eq!(
        put(Format::Toml, "servers", "servers = { b = { command = \"y\" } }\n"),
        "servers = { b = { command = \"y\" } , a = { command = \"x\", args = [\"y\"] } }\n"
    );
    assert_eq!(
        put(JSON, "servers", "{\"servers\":{}}"),
        "{\"servers\":{\"a\":{\"command\":\"x\",\"args\":[\"y\"]}}}"
    );
    assert_eq!(
        put(JSON, "servers", "{\"x\":\"a \\\" // b\"}"),
        "{\"x\":\"a \\\" // b\",\"servers\":{\"a\":{\"command\":\"x\",\"args\":[\"y\"]}}}"
    );
}

#[test]
fn an_empty_file_is_one_that_is_begun() {
    for text in ["", "\n", "{}", " {\n}\n"] {
        let text = put(JSON, "servers", text);
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["servers"]["a"]["command"], "x", "{text}");
    }
}

#[test]
fn what_is_broken_is_told_with_line_and_column() {
    for (text, line, column) in [
        ("{\n  \"a\": tru\n}", 2, 8),
        ("{\n  \"a\": 1\n  \"b\": 2\n}", 2, 9),
        ("[]", 1, 1),
        ("{\n  \"servers\": []\n}", 2, 4),
        ("{\n  \"servers\": {},\n  \"servers\": {}\n}", 3, 3),
        ("{\"servers\": {\n  \"a\": {},\n  \"a\": {}\n}}", 3, 3),
        ("{'a': 1}", 1, 2),
    ] {
        let flaw = flaw(JSON, text);
        assert_eq!((flaw.line, flaw.column), (line, column), "{text}: {}", flaw.why);
    }
    let flaw = flaw(Format::Toml, "a = 1\nb = = 2\n");
    assert_eq!((flaw.line, flaw.column), (2, 5), "{}", flaw.why);
    assert!(Document::parse(Format::Toml, "servers", "servers = 1\n").is_err());
}

#[test]
fn a_file_that_is_deep_without_end_is_refused_and_not_followed() {
    assert!(flaw(JSON, &"{\"a\":".repeat(100_000)).why.contains("nesting"));
    assert!(
        Document::parse(Format::Toml, "servers", &format!("a = {}", "[".repeat(100_000))).is_err()
    );
}

#[test]
fn a_key_with_a_comment_of_the_users_stays_when_it_is_empty() {
    let text = "{\n  \"servers\": {\n    // mine come here\n  }\n}\n";
    let mut document = Document::parse(JSON, "servers", &put(JSON, "servers", text)).ok().unwrap();
    document.take("a");
    assert!(document.text().contains("// mine come here"), "{}", document.text());
}

#[test]
fn a_file_of_comments_alone_keeps_them() {
    let text = put(JSON, "servers", "// mine\n");
    assert!(text.starts_with("// mine\n{"), "{text}");
}

#[test]
fn comments_at_the_end_of_a_toml_file_stay_with_what_they_are_about() {
    let text = "[a]\nx = 1\n# y = 2\n";
    let with = put(Format::Toml, "servers", text);
    assert_eq!(with, "[a]\nx = 1\n# y = 2\n\n[servers.a]\ncommand = \"x\"\nargs = [\"y\"]\n");
    assert_eq!(taken(&with), text);
    // Above a table that is not the last one, and written by the user later on.
    let later = "[servers.b]\n# of b\n\n# on a\n[servers.a]\ncommand = \"x\"\n\n[servers.a.env]\nA = 1\n\n# on z\n[z]\n";
    assert_eq!(taken(later), "[servers.b]\n# of b\n\n# on a\n\n# on z\n[z]\n");
    let middle = "[servers.b]\nx = 1\n\n# on z\n[z]\n# end\n";
    let with = put(Format::Toml, "servers", middle);
    assert!(with.ends_with("\n# on z\n[z]\n# end\n"), "{with}");
    assert_eq!(taken(&with), middle);
    assert_eq!(
        put(Format::Toml, "servers", "# alone\n"),
        "# alone\n\n[servers.a]\ncommand = \"x\"\nargs = [\"y\"]\n"
    );
}

fn taken(text: &str) -> String {
    let mut document = Document::parse(Format::Toml, "servers", text).ok().unwrap();
    document.take("a");
    document.text()
}
