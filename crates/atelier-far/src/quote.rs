//! Words of other programs' languages: the shell's, and rsync's.

/// One word of a POSIX shell (XCU 2.2.2: within single quotes nothing but them is special).
pub(crate) fn shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

/// One word of the command that rsync takes for a remote shell: it knows quotes, which are doubled
/// within themselves, and no escapes (rsync(1), option `-e`).
pub(crate) fn remote_shell(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@%+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "''"))
}

/// A pattern of rsync that means this one path. Backslashes count only where there is a wildcard
/// (rsync(1), "pattern matching rules").
pub(crate) fn pattern(path: &[u8]) -> Vec<u8> {
    let wild = path.iter().any(|b| b"*?[".contains(b));
    let mut pattern = vec![b'/'];
    for byte in path {
        if wild && b"*?[\\".contains(byte) {
            pattern.push(b'\\');
        }
        pattern.push(*byte);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_each_word_for_one() {
        assert_eq!(shell("/a/b-1.2"), "/a/b-1.2");
        assert_eq!(shell("a b"), "'a b'");
        assert_eq!(shell("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(shell(""), "''");
        assert_eq!(remote_shell("it's"), "'it''s'");
    }

    #[test]
    fn a_pattern_means_one_path() {
        assert_eq!(pattern(b"a/b"), b"/a/b");
        assert_eq!(pattern(br"a\b"), br"/a\b");
        assert_eq!(pattern(br"a[1]\*"), br"/a\[1]\\\*");
    }
}
