//! The frontmatter of a SKILL.md (<https://agentskills.io/specification>): `name`, which has to be the
//! folder's, and `description`. Without both, agents pass a skill over in silence.

use serde_json::Value;

use crate::error::{AgentError, Result};

/// The longest description that agents take, in characters (agentskills.io).
const LONGEST: usize = 1024;

/// The text with a valid frontmatter: one of ours where there is none, otherwise its own, completed.
pub(crate) fn complete(text: &str, name: &str, description: &str) -> Result<String> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let bad = |why: String| AgentError::Skill { name: name.to_owned(), why };
    let Some((head, body)) = split(text) else {
        let head = format!("name: {name}\n{}", described(description).map_err(bad)?);
        return Ok(format!("---\n{head}---\n\n{}", text.trim_start_matches(['\r', '\n'])));
    };
    let found = parse(head).map_err(bad)?;
    let mut head = head.to_owned();
    if found["name"].as_str() != Some(name) {
        head = without(&head, "name");
        head.insert_str(0, &format!("name: {name}\n"));
    }
    if found["description"].as_str().is_none_or(|text| text.trim().is_empty()) {
        head = without(&head, "description");
        if !head.is_empty() && !head.ends_with('\n') {
            head.push('\n');
        }
        head.push_str(&described(description).map_err(bad)?);
    }
    let now = parse(&head).map_err(bad)?;
    if now["name"].as_str() != Some(name) || !now["description"].is_string() {
        return Err(bad("its frontmatter is written in a way that cannot be completed".into()));
    }
    Ok(format!("---\n{head}---\n{body}"))
}

/// What is between the first two lines of three hyphens, and what comes after.
fn split(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.split_inclusive('\n');
    let first = lines.next()?;
    if first.trim_end() != "---" || !first.ends_with('\n') {
        return None;
    }
    let mut end = first.len();
    for line in lines {
        if line.trim_end() == "---" {
            return Some((&text[first.len()..end], &text[end + line.len()..]));
        }
        end += line.len();
    }
    None
}

fn parse(head: &str) -> std::result::Result<Value, String> {
    if head.trim().is_empty() {
        return Ok(Value::Object(serde_json::Map::new()));
    }
    match serde_saphyr::from_str(head) {
        Ok(Value::Null) => Ok(Value::Object(serde_json::Map::new())),
        Ok(value @ Value::Object(_)) => Ok(value),
        Ok(_) => Err("its frontmatter is no list of keys and values".into()),
        Err(error) => {
            let error = error.to_string();
            Err(format!("its frontmatter is no YAML: {}", error.lines().next().unwrap_or_default()))
        }
    }
}

/// The lines without those of a key and of its value.
fn without(head: &str, key: &str) -> String {
    let mut inside = false;
    let keep = |line: &&str| {
        let begins = ["", "'", "\""].iter().any(|quote| {
            let rest = line.strip_prefix(&format!("{quote}{key}{quote}"));
            rest.is_some_and(|rest| rest.trim_start().starts_with(':'))
        });
        let continues = inside && (line.starts_with([' ', '\t']) || line.trim().is_empty());
        inside = begins || continues;
        !inside
    };
    head.split_inclusive('\n').filter(keep).collect()
}

fn described(description: &str) -> std::result::Result<String, String> {
    let words: Vec<_> = description.split_whitespace().collect();
    let text: String = words.join(" ").chars().take(LONGEST).collect();
    if text.is_empty() {
        return Err("it has no description".into());
    }
    // A JSON string is a YAML one (YAML 1.2, section 1.3).
    Ok(format!("description: {}\n", Value::from(text)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_without_frontmatter_gets_one() {
        let text = complete("\n# Notion\n\nUse it.\n", "notion", "Notes:\n \"many\"").unwrap();
        assert_eq!(
            text,
            "---\nname: notion\ndescription: \"Notes: \\\"many\\\"\"\n---\n\n# Notion\n\nUse it.\n"
        );
    }

    #[test]
    fn a_frontmatter_of_its_own_is_kept_and_completed() {
        let own =
            "---\n# mine\nlicense: MIT\nname: Other Name\nallowed-tools:\n  - Bash\n---\nBody\n";
        assert_eq!(
            complete(own, "notion", "Notes").unwrap(),
            "---\nname: notion\n# mine\nlicense: MIT\nallowed-tools:\n  - Bash\ndescription: \"Notes\"\n---\nBody\n"
        );
        let whole = "---\nname: notion\ndescription: >\n  Many\n  lines\n---\nBody\n";
        assert_eq!(complete(whole, "notion", "Other").unwrap(), whole);
        let windows = "---\r\nname: notion\r\ndescription: x\r\n---\r\nBody\r\n";
        assert!(complete(windows, "notion", "Other").unwrap().contains("description: x"));
    }

    #[test]
    fn a_value_of_several_lines_is_replaced_whole() {
        let own = "---\nname: >\n  a\n\n  b\ndescription:\nlicense: MIT\n---\n";
        let text = complete(own, "notion", "Notes").unwrap();
        assert_eq!(text, "---\nname: notion\nlicense: MIT\ndescription: \"Notes\"\n---\n");
    }

    #[test]
    fn what_cannot_be_completed_is_said() {
        for (text, description) in
            [("---\nname: [\n---\n", "x"), ("---\n- a\n---\n", "x"), ("no description", " ")]
        {
            assert!(complete(text, "notion", description).is_err(), "{text}");
        }
    }

    #[test]
    fn a_rule_across_the_page_is_no_frontmatter() {
        let text = complete("---\nnever closed\n", "a", "b").unwrap();
        assert!(text.starts_with("---\nname: a\n"), "{text}");
    }
}
