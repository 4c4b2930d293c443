//! Files with the environment's own values in them. They are a layer of the snapshot, so that what was
//! rendered is no change of the environment and never comes back into the project.

use std::path::PathBuf;

use crate::changes::side::is_binary;
use crate::config::Render;
use crate::error::Result;
use crate::files::entry::{Kind, order};
use crate::files::scan::{Scan, Skipped};
use crate::files::view::Merged;
use crate::quote::path_bytes;
use crate::recipe::Recipe;

/// Longer files are not rendered, in bytes.
const LIMIT: u64 = 4 << 20;

/// Paths with their new contents.
pub(crate) type Rendered = Vec<(Vec<u8>, Vec<u8>)>;

/// What the recipe renders of these layers, where that changes anything; and what can't be rendered.
pub(crate) fn rendered(
    layers: &[PathBuf],
    scan: &Scan,
    recipe: &Recipe,
) -> Result<(Rendered, Vec<Skipped>)> {
    let (mut files, mut notes) = (Rendered::new(), Vec::new());
    if recipe.files.render.is_empty() {
        return Ok((files, notes));
    }
    let view = Merged::of(&layers.iter().map(PathBuf::as_path).collect::<Vec<_>>())?;
    for rule in &recipe.files.render {
        let path = path_bytes(&rule.file);
        match text(&view, scan, &path) {
            Ok(before) => {
                let before = files.iter().find(|(p, _)| *p == path).map_or(before, |f| f.1.clone());
                let after = apply(rule, &recipe.tokens, &before);
                if after != before {
                    files.retain(|(p, _)| *p != path);
                    files.push((path, after));
                }
            }
            Err(why) => notes.push(Skipped::new(&path, format!("it is not rendered: {why}"))),
        }
    }
    Ok((files, notes))
}

fn text(view: &Merged, scan: &Scan, path: &[u8]) -> Result<Vec<u8>, &'static str> {
    let found = scan.entries.binary_search_by(|e| order(&e.path, path));
    let entry = found.ok().and_then(|at| scan.entries.get(at)).ok_or("there is no such file")?;
    if entry.kind != Kind::File {
        return Err("it is no regular file");
    }
    let name = std::str::from_utf8(path).map_err(|_| "its name is not UTF-8")?;
    let bytes = view.read_below(name, LIMIT).ok_or("it is larger than 4 MiB")?;
    if is_binary(&bytes) { Err("it is no text") } else { Ok(bytes) }
}

/// Replacements first, so that what they write may hold tokens.
fn apply(rule: &Render, tokens: &[(String, String)], text: &[u8]) -> Vec<u8> {
    let mut text = text.to_vec();
    for one in &rule.replace {
        text = replaced(&text, one.from.as_bytes(), one.to.as_bytes());
    }
    if rule.tokens {
        for (name, value) in tokens {
            text = replaced(&text, format!("${{{name}}}").as_bytes(), value.as_bytes());
        }
    }
    text
}

fn replaced(text: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some((first, tail)) = rest.split_first() {
        if !from.is_empty() && rest.starts_with(from) {
            out.extend_from_slice(to);
            rest = &rest[from.len()..];
        } else {
            out.push(*first);
            rest = tail;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Replace;

    #[test]
    fn replacements_may_write_tokens_and_other_variables_stay() {
        let tokens = [("ATELIER_ENV".to_owned(), "a1".to_owned())];
        let replace = vec![Replace { from: "localhost".into(), to: "${ATELIER_ENV}.test".into() }];
        let rule = Render { file: ".env".into(), tokens: true, replace };
        let text = apply(&rule, &tokens, b"URL=http://localhost\nHOME=${HOME}\n");
        assert_eq!(text, b"URL=http://a1.test\nHOME=${HOME}\n");
        let without = Render { tokens: false, ..rule };
        assert_eq!(apply(&without, &tokens, b"${ATELIER_ENV}"), b"${ATELIER_ENV}");
    }
}
