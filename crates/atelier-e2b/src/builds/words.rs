//! Text for shells: quoting, what may be expanded, and patterns.

/// One word for a shell, whatever is in it.
pub(super) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// Text in double quotes in which only variables are expanded: no commands are run.
pub(super) fn expandable(text: &str) -> String {
    let mut quoted = String::from("\"");
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let command = c == '$' && chars.peek() == Some(&'(');
        if command || matches!(c, '\\' | '"' | '`') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted.push('"');
    quoted
}

/// The path before the first part that holds a pattern: what of an archive is copied. `None` when
/// it leads out of the archive.
pub(super) fn base_of_pattern(pattern: &str) -> Option<String> {
    let mut base: Vec<&str> = Vec::new();
    for part in pattern.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                base.pop()?;
            }
            part if part.contains(['*', '?', '[', '{', '\\']) => break,
            part => base.push(part),
        }
    }
    Some(if base.is_empty() { ".".to_owned() } else { base.join("/") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_one_word() {
        assert_eq!(quote("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(expandable(r#"$A "q" `c` $(d) \e"#), r#""$A \"q\" \`c\` \$(d) \\e""#);
    }

    #[test]
    fn patterns_are_cut_off() {
        let base = |pattern| base_of_pattern(pattern).unwrap();
        assert_eq!(base("folder/*"), "folder");
        assert_eq!(base("./a/b.txt"), "a/b.txt");
        assert_eq!(base("*.txt"), ".");
        assert_eq!(base("a/{b,c}/d"), "a");
        assert_eq!(base("a/../b"), "b");
        assert_eq!(base_of_pattern("../b"), None);
    }
}
