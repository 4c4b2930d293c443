//! Changes a YAML file where its values changed, and leaves every other line, comments too, as it is.
//!
//! Only what block style can hold is edited in place. The result is read again and compared with what was meant;
//! where the two differ (flow style, anchors) the whole file is written anew instead.

use serde_json::{Map, Value};

/// `text`, which says `old`, made to say `new`.
pub(super) fn edit(text: &str, old: &Value, new: &Value) -> String {
    let edited = match (old, new) {
        (Value::Object(was), Value::Object(is)) => Some(edit_mapping(text, was, is)),
        _ => None,
    };
    let same = |text: &String| super::yaml::value(text).is_ok_and(|read| read == *new);
    edited.filter(same).unwrap_or_else(|| emit(new))
}

/// A mapping in block style, `text`, which says `was`, made to say `is`. Whoever calls reads the result again: what
/// is not in block style may have come out wrong.
#[must_use]
pub fn edit_mapping(text: &str, was: &Map<String, Value>, is: &Map<String, Value>) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let lines = mapping(&lines, 0, was, is);
    lines.iter().flat_map(|line| [line.as_str(), "\n"]).collect()
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

fn says_nothing(line: &str) -> bool {
    let line = line.trim();
    line.is_empty() || line.starts_with('#')
}

/// The key of a line of a block mapping at this depth.
fn key(line: &str, depth: usize) -> Option<String> {
    if says_nothing(line) || indent(line) != depth {
        return None;
    }
    let (key, _) = line.trim().split_once(':')?;
    Some(key.trim().trim_matches(['"', '\'']).to_owned())
}

/// Where an entry that begins at `start` ends: comments and empty lines before the next one are the next one's.
fn end(lines: &[&str], start: usize, depth: usize) -> usize {
    let inside = |line: &str| {
        indent(line) > depth || (indent(line) == depth && line.trim_start().starts_with("- "))
    };
    let mut end = start + 1;
    for (at, line) in lines.iter().enumerate().skip(start + 1) {
        match says_nothing(line) {
            true => {}
            false if inside(line) => end = at + 1,
            false => break,
        }
    }
    end
}

fn mapping(
    lines: &[&str],
    depth: usize,
    was: &Map<String, Value>,
    is: &Map<String, Value>,
) -> Vec<String> {
    let (mut out, mut at, mut last) = (Vec::new(), 0, 0);
    let mut seen = Vec::new();
    while at < lines.len() {
        let Some(key) = key(lines[at], depth) else {
            out.push(lines[at].to_owned());
            at += 1;
            continue;
        };
        let end = end(lines, at, depth);
        out.extend(entry(&lines[at..end], depth, &key, was.get(&key), is.get(&key)));
        last = out.len();
        seen.push(key);
        at = end;
    }
    let added = is.iter().filter(|(key, _)| !seen.contains(key));
    let added: Vec<String> = added.flat_map(|(key, value)| emit_entry(key, value, depth)).collect();
    let last = if seen.is_empty() { out.len() } else { last };
    out.splice(last..last, added);
    out
}

fn entry(
    lines: &[&str],
    depth: usize,
    key: &str,
    was: Option<&Value>,
    is: Option<&Value>,
) -> Vec<String> {
    match (was, is) {
        (_, None) => Vec::new(),
        (Some(was), Some(is)) if was == is => lines.iter().map(|l| (*l).to_owned()).collect(),
        (Some(Value::Object(was)), Some(Value::Object(is))) if !was.is_empty() => {
            let inner = lines[1..].iter().find(|l| !says_nothing(l)).map_or(0, |l| indent(l));
            if inner <= depth || is.is_empty() {
                return emit_entry(key, &Value::Object(is.clone()), depth);
            }
            let mut out = vec![lines[0].to_owned()];
            out.extend(mapping(&lines[1..], inner, was, is));
            out
        }
        (_, Some(is)) => {
            let mut out = emit_entry(key, is, depth);
            if let ([old], [new]) = (lines, out.as_mut_slice()) {
                new.push_str(comment(old));
            }
            out
        }
    }
}

/// The comment behind the value of a line, with the blanks before it.
fn comment(line: &str) -> &str {
    let value = line.find(": ").map_or("", |colon| line[colon + 2..].trim_start());
    // In double quotes a backslash takes the meaning from what follows, in single ones a second quote.
    let closed = |quote: char, escape: char| {
        let mut rest = value.char_indices().skip(1).peekable();
        while let Some((at, c)) = rest.next() {
            let pair =
                c == escape && (escape != quote || rest.peek().is_some_and(|(_, n)| *n == quote));
            match (pair, c == quote) {
                (true, _) => drop(rest.next()),
                (_, true) => return Some(at + 1),
                _ => {}
            }
        }
        None
    };
    let begin = match value.chars().next() {
        Some('"') => closed('"', '\\').unwrap_or(value.len()),
        Some('\'') => closed('\'', '\'').unwrap_or(value.len()),
        // What a comment is inside of a flow collection is not worth knowing.
        Some('[' | '{') => value.len(),
        _ => 0,
    };
    let rest = &value[begin..];
    let Some(at) = rest.find(" #") else { return "" };
    &rest[rest[..at].trim_end().len()..]
}

/// A whole value as block YAML.
#[must_use]
pub fn emit(value: &Value) -> String {
    let lines = match value {
        Value::Object(map) if map.is_empty() => vec!["{}".to_owned()],
        Value::Object(map) => map.iter().flat_map(|(k, v)| emit_entry(k, v, 0)).collect(),
        other => vec![scalar(other)],
    };
    lines.join("\n") + "\n"
}

fn emit_entry(key: &str, value: &Value, depth: usize) -> Vec<String> {
    let pad = " ".repeat(depth);
    let key = plain_or_quoted(key);
    match value {
        Value::Object(map) if !map.is_empty() => {
            let mut out = vec![format!("{pad}{key}:")];
            out.extend(map.iter().flat_map(|(k, v)| emit_entry(k, v, depth + 2)));
            out
        }
        Value::Array(list) if !list.is_empty() => {
            let mut out = vec![format!("{pad}{key}:")];
            out.extend(list.iter().flat_map(|item| emit_item(item, depth + 2)));
            out
        }
        other => vec![format!("{pad}{key}: {}", scalar(other))],
    }
}

fn emit_item(item: &Value, depth: usize) -> Vec<String> {
    let pad = " ".repeat(depth);
    match item {
        Value::Object(map) if !map.is_empty() => {
            let lines = map.iter().flat_map(|(k, v)| emit_entry(k, v, depth + 2));
            let mut lines: Vec<String> = lines.collect();
            if let Some(first) = lines.first_mut() {
                *first = format!("{pad}- {}", first.trim_start());
            }
            lines
        }
        other => vec![format!("{pad}- {}", scalar(other))],
    }
}

/// JSON's scalars and flow collections are YAML's; plain words go without quotes.
fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => plain_or_quoted(text),
        other => other.to_string(),
    }
}

fn plain_or_quoted(text: &str) -> String {
    const WORDS: &[&str] =
        &["true", "false", "null", "yes", "no", "on", "off", "y", "n", "inf", "nan"];
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./@".contains(&b))
        && !WORDS.contains(&text.to_ascii_lowercase().as_str());
    let url = text.starts_with("https://")
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-./:".contains(&b))
        && !text.ends_with(':');
    match plain || url {
        true => text.to_owned(),
        false => quoted(text),
    }
}

/// In double quotes, everything escaped that YAML 1.1 or 1.2 would read as something else.
fn quoted(text: &str) -> String {
    let mut out = "\"".to_owned();
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\t' => out.push_str("\\t"),
            '\r' => out.push_str("\\r"),
            c if c.is_control() || is_odd(c) => {
                let escaped = match u32::from(c) {
                    code @ ..=0xff => format!("\\x{code:02x}"),
                    code @ ..=0xffff => format!("\\u{code:04x}"),
                    code => format!("\\U{code:08x}"),
                };
                out.push_str(&escaped);
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// Line breaks, marks and non-characters that YAML folds, skips or refuses.
fn is_odd(c: char) -> bool {
    matches!(c, '\u{85}' | '\u{a0}' | '\u{2028}' | '\u{2029}' | '\u{feff}')
        || u32::from(c) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const TEXT: &str = "# my tools\nschema_version: atelier-tools/1 # ours\n\nmine: [1, 2] # kept\ntools:\n  # for work\n  notion:\n    source:\n      kind: registry # pinned\n  # for fun\n  piper:\n    source: {kind: path}\n\n# the end\n";

    fn changed(change: impl FnOnce(&mut Value)) -> String {
        let old = super::super::yaml::value(TEXT).unwrap();
        let mut new = old.clone();
        change(&mut new);
        let text = edit(TEXT, &old, &new);
        assert_eq!(super::super::yaml::value(&text).unwrap(), new, "{text}");
        text
    }

    #[test]
    fn comments_and_unknown_keys_outlive_a_new_entry() {
        let text =
            changed(|v| v["tools"]["exa"] = json!({"source": {"kind": "git", "ref": "1.0"}}));
        let entry =
            "    source: {kind: path}\n  exa:\n    source:\n      kind: git\n      ref: \"1.0\"\n";
        assert_eq!(text, TEXT.replace("    source: {kind: path}\n", entry));
    }

    #[test]
    fn one_value_changes_one_line() {
        let text = changed(|v| v["tools"]["notion"]["source"]["kind"] = json!("git"));
        assert_eq!(text, TEXT.replace("kind: registry", "kind: git"), "its comment stays");
    }

    #[test]
    fn the_comment_behind_a_value_is_told_from_the_value() {
        for (line, is) in [
            ("a: b # c", " # c"),
            ("a: b#c", ""),
            ("a: \"x # \\\" y\"  # c", "  # c"),
            ("a: 'it''s # x' # c", " # c"),
            ("a: # c", ""),
            ("a: \"open # c", ""),
            ("a:", ""),
        ] {
            assert_eq!(comment(line), is, "{line}");
        }
    }

    #[test]
    fn an_entry_goes_and_its_neighbours_stay() {
        let text = changed(|v| {
            v["tools"].as_object_mut().unwrap().remove("notion");
        });
        assert!(text.contains("# for fun\n  piper:") && !text.contains("notion"), "{text}");
        assert!(text.ends_with("\n# the end\n"), "{text}");
    }

    #[test]
    fn what_cannot_be_edited_in_place_is_written_anew() {
        let old = json!({"a": {"b": 1}, "c": 2});
        let new = json!({"a": {"b": 3}, "c": 2});
        assert_eq!(edit("{a: {b: 1}, c: 2}", &old, &new), "a:\n  b: 3\nc: 2\n");
    }

    #[test]
    fn words_that_yaml_would_take_for_something_else_are_quoted() {
        let value = json!({"a": ["no", "1", "x: y", "", "https://h/p", {"k": []}], "on": null});
        assert_eq!(super::super::yaml::value(&emit(&value)).unwrap(), value);
    }
}
