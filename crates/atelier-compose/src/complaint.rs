//! What Compose says about a project that it refuses, with the place as far as it can be known.

use std::path::{Path, PathBuf};

use crate::error::ComposeError;
use crate::native::places;

/// The error behind the tool's words. It names a file or a line seldom, so the place is looked up.
pub(crate) fn read(words: &str, files: &[PathBuf]) -> ComposeError {
    let message = last_words(words);
    let (file, message) = named_file(&message, files);
    let file = file.or_else(|| (files.len() == 1).then(|| files[0].clone()));
    let (mut line, mut column) = position(&message);
    let mut found = file.clone();
    // The parser's own complaint names a place but no file; others name a key but no place.
    let candidates = file.map_or_else(|| files.to_vec(), |f| vec![f]);
    if line.is_none() {
        if let Some((file, place)) = by_key(&message, &candidates) {
            (found, line, column) = (Some(file), Some(place.0), Some(place.1));
        }
    } else if found.is_none() {
        found = candidates.iter().find(|f| places::of_mistake(f).is_some()).cloned();
    }
    ComposeError::Invalid { file: found, line, column, message }
}

/// Without warnings; the last paragraph is the error.
fn last_words(words: &str) -> String {
    let lines: Vec<&str> = words
        .lines()
        .filter(|l| !l.starts_with("time=") && !l.starts_with("WARN") && !l.trim().is_empty())
        .collect();
    let text = lines.join(" ");
    if text.is_empty() { "Compose refuses it and does not say why".to_owned() } else { text }
}

/// `validating FILE: ...`: the file and the rest.
fn named_file(message: &str, files: &[PathBuf]) -> (Option<PathBuf>, String) {
    for word in ["validating ", "failed to parse ", "parsing ", "failed to read "] {
        if let Some((file, rest)) =
            message.strip_prefix(word).and_then(|rest| rest.split_once(": "))
            && Path::new(file).is_absolute()
        {
            return (Some(file.into()), rest.to_owned());
        }
    }
    for file in files {
        let start = format!("{}: ", file.display());
        if let Some(rest) = message.strip_prefix(&start) {
            return (Some(file.clone()), rest.to_owned());
        }
    }
    (None, message.to_owned())
}

/// `at L3.C5`, `at L3.C5-L4.C1` and `line 3:`; the two generations of Compose say it differently.
fn position(message: &str) -> (Option<u64>, Option<u64>) {
    let digits = |text: &str| {
        let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        (text[..end].parse::<u64>().ok(), text[end..].to_owned())
    };
    if let Some((_, rest)) = message.rsplit_once(" at L") {
        let (line, rest) = digits(rest);
        let column = rest.strip_prefix(".C").and_then(|rest| digits(rest).0);
        return (line, column);
    }
    if let Some((_, rest)) = message.split_once("line ") {
        return (digits(rest).0, None);
    }
    (None, None)
}

/// The place of the first key path in the message, such as `services.web.foo`.
fn by_key(message: &str, files: &[PathBuf]) -> Option<(PathBuf, (u64, u64))> {
    let sections = ["services", "networks", "volumes", "configs", "secrets", "include", "models"];
    let mut words = message.split(|c: char| c.is_whitespace() || "'\"`,:;".contains(c));
    let key = words.find(|w| {
        sections.iter().any(|s| w.strip_prefix(s).is_some_and(|r| r.starts_with(['.', '['])))
    });
    let quoted = message.split('"').nth(1).map(|name| format!("services.{name}"));
    let key = key.map(str::to_owned).or(quoted)?;
    let extra =
        message.split_once("additional properties '").and_then(|(_, r)| r.split('\'').next());
    let key = extra.map_or_else(|| key.clone(), |e| format!("{key}.{e}"));
    files.iter().rev().find_map(|f| places::of_key(f, &key).map(|place| (f.clone(), place)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(words: &str, text: &str) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("compose.yaml");
        std::fs::write(&path, text).unwrap();
        let words = words.replace("FILE", &path.display().to_string());
        read(&words, std::slice::from_ref(&path))
            .to_string()
            .replace(&folder.path().display().to_string(), "")
    }

    #[test]
    fn a_syntax_error_keeps_the_place_that_compose_says() {
        let new = "go-yaml load error in parser (while parsing a block mapping) at L2.C3-L4.C4: no";
        assert!(told(new, "services:\n").starts_with("/compose.yaml:2:3: "));
        assert!(told("yaml: line 4: did not find", "services:\n").starts_with("/compose.yaml:4: "));
    }

    #[test]
    fn a_key_that_compose_names_is_looked_up() {
        let text = "services:\n  a:\n    image: x\n    foo: 3\n";
        for words in [
            "validating FILE: services.a.foo false schema",
            "validating FILE: services.a additional properties 'foo' not allowed",
        ] {
            assert!(told(words, text).starts_with("/compose.yaml:4:5: "), "{}", told(words, text));
        }
        let words = "time=\"x\" level=warning msg=\"services.b\"\n\
                     service \"a\" depends on undefined service \"z\": invalid compose project";
        assert_eq!(
            told(words, text),
            "/compose.yaml:2:3: service \"a\" depends on undefined service \"z\": \
             invalid compose project"
        );
    }
}
