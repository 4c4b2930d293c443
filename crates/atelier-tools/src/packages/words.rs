//! Shell text cut into the words of its commands. Just enough to see which program a plugin's script runs with which
//! package; nothing is expanded but arrays and variables that
//! were set to plain text, which is how the registry's scripts name what they run.

use std::collections::BTreeMap;

/// The commands of a script, each as its words. Words that depend on variables keep their `$`.
pub(super) fn commands(script: &str) -> Vec<Vec<String>> {
    let (mut all, mut current) = (Vec::new(), Vec::new());
    let mut arrays: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut open: Option<String> = None;
    for token in tokens(script) {
        match (token, &mut open) {
            (Token::Word(word), None) => {
                match word.strip_suffix("=(").or_else(|| word.strip_suffix("+=(")) {
                    Some(name) => open = Some(name.trim_end_matches('+').to_owned()),
                    None => current.push(word),
                }
            }
            (Token::Word(word), Some(name)) => arrays.entry(name.clone()).or_default().push(word),
            (Token::Close, Some(_)) => open = None,
            (Token::Close | Token::End, None) => {
                if !current.is_empty() {
                    all.push(std::mem::take(&mut current));
                }
            }
            (Token::End, Some(_)) => {}
        }
    }
    all.push(current);
    let mut plain = BTreeMap::new();
    all.into_iter().map(|words| expand(words, &arrays, &mut plain)).collect()
}

/// Puts in what variables hold, where a script set them to plain text before.
fn expand(
    words: Vec<String>,
    arrays: &BTreeMap<String, Vec<String>>,
    plain: &mut BTreeMap<String, String>,
) -> Vec<String> {
    if let [only] = words.as_slice()
        && let Some((name, value)) = only.split_once('=')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    {
        match value.contains(['$', '`']) {
            true => drop(plain.remove(name)),
            false => drop(plain.insert(name.to_owned(), value.to_owned())),
        }
    }
    let mut out = Vec::new();
    for word in words {
        let braced = word.strip_prefix("${").and_then(|w| w.strip_suffix('}'));
        let name = braced.or_else(|| word.strip_prefix('$')).unwrap_or_default();
        match (name.strip_suffix("[@]").and_then(|name| arrays.get(name)), plain.get(name)) {
            (Some(words), _) => out.extend(words.iter().cloned()),
            (None, Some(value)) => out.push(value.clone()),
            (None, None) => out.push(word),
        }
    }
    out
}

enum Token {
    Word(String),
    Close,
    End,
}

fn tokens(script: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut word = String::new();
    let mut quoted = false;
    let mut chars = script.chars().peekable();
    let flush = |word: &mut String, quoted: &mut bool, out: &mut Vec<Token>| {
        if !word.is_empty() || *quoted {
            out.push(Token::Word(std::mem::take(word)));
        }
        *quoted = false;
    };
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                if chars.next_if_eq(&'\n').is_none() {
                    word.extend(chars.next());
                }
            }
            '\'' => {
                quoted = true;
                word.extend(chars.by_ref().take_while(|c| *c != '\''));
            }
            '"' => {
                quoted = true;
                while let Some(c) = chars.next() {
                    match c {
                        '"' => break,
                        '\\' => word.extend(chars.next()),
                        other => word.push(other),
                    }
                }
            }
            '$' if chars.peek() == Some(&'{') => {
                word.push('$');
                for c in chars.by_ref() {
                    word.push(c);
                    if c == '}' {
                        break;
                    }
                }
            }
            '#' if word.is_empty() && !quoted => while chars.next_if(|c| *c != '\n').is_some() {},
            '(' if word.ends_with('=') => {
                word.push('(');
                flush(&mut word, &mut quoted, &mut out);
            }
            ' ' | '\t' => flush(&mut word, &mut quoted, &mut out),
            ')' => {
                flush(&mut word, &mut quoted, &mut out);
                out.push(Token::Close);
            }
            '\n' | ';' | '|' | '&' | '(' | '`' => {
                flush(&mut word, &mut quoted, &mut out);
                out.push(Token::End);
            }
            other => word.push(other),
        }
    }
    flush(&mut word, &mut quoted, &mut out);
    out.push(Token::End);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_its_commands() {
        let script = "#!/bin/sh\n# npx no\nif ! command -v npx >/dev/null; then echo \"run npx x\"; fi\nARGS=(-y \"@a/b@1\") # c\nif x; then\n  ARGS+=(\"--to=$T\")\nfi\nexec npx \\\n  \"${ARGS[@]}\" \"$@\"\n";
        let found = commands(script);
        assert!(
            found.contains(
                &["exec", "npx", "-y", "@a/b@1", "--to=$T", "$@"].map(str::to_owned).to_vec()
            ),
            "{found:?}"
        );
        assert!(
            found.contains(&["then", "echo", "run npx x"].map(str::to_owned).to_vec()),
            "{found:?}"
        );
    }

    #[test]
    fn a_variable_of_plain_text_is_what_it_holds() {
        let found =
            commands("IMAGE=\"a/b:1\"\ndocker pull \"$IMAGE\"\nIMAGE=$(x)\ndocker pull ${IMAGE}\n");
        let pulls: Vec<_> =
            found.iter().filter(|w| w[..].first().is_some_and(|w| w == "docker")).collect();
        assert_eq!(pulls[0][2], "a/b:1");
        assert_eq!(pulls[1][2], "${IMAGE}");
    }
}
