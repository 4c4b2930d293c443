//! Ignore files in gitignore syntax, one in any folder; the deepest has the last word.

use std::os::fd::BorrowedFd;
use std::path::Path;
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::entry::is_below;
use crate::quote::as_path;
use atelier_files::below::read_small;

/// The longest ignore file that is read, in bytes.
const LIMIT: u64 = 1 << 20;

/// The rules that hold in one folder: its own, then those of the folders above.
#[derive(Debug)]
pub(crate) struct Rules {
    above: Option<Arc<Rules>>,
    dir: Vec<u8>,
    own: Gitignore,
}

impl Rules {
    /// Rules that were read elsewhere and hold everywhere.
    pub(crate) fn given(above: Option<Arc<Self>>, own: Gitignore) -> Arc<Self> {
        Arc::new(Self { above, dir: Vec::new(), own })
    }

    /// Rules given as text, which hold in `dir` and below.
    pub(crate) fn from_text(above: Option<Arc<Self>>, dir: &[u8], text: &[u8]) -> Arc<Self> {
        let mut builder = GitignoreBuilder::new("");
        for line in String::from_utf8_lossy(text).lines() {
            // A line that is no valid pattern is left out, as git does.
            let _ = builder.add_line(None, line);
        }
        let own = builder.build().unwrap_or_else(|_| Gitignore::empty());
        Arc::new(Self { above, dir: dir.to_owned(), own })
    }

    /// The rules of an ignore file in an open folder; those from above when there is none.
    pub(crate) fn enter(
        above: Option<Arc<Self>>,
        dir: &[u8],
        fd: BorrowedFd<'_>,
        file_name: &str,
    ) -> Option<Arc<Self>> {
        match read_small(fd, file_name.as_bytes(), LIMIT) {
            Some(text) => Some(Self::from_text(above, dir, &text)),
            None => above,
        }
    }

    /// Whether the path (from the tree's root) is ignored. Its parents are not looked at: a walk
    /// does not enter an ignored folder.
    pub(crate) fn is_ignored(&self, path: &[u8], is_dir: bool) -> bool {
        let mut rules = Some(self);
        while let Some(here) = rules {
            let below = match here.dir.len() {
                0 => as_path(path),
                n if is_below(path, &here.dir) => as_path(&path[n + 1..]),
                _ => Path::new(""),
            };
            match here.own.matched(below, is_dir) {
                Match::Ignore(_) => return true,
                Match::Whitelist(_) => return false,
                Match::None => rules = here.above.as_deref(),
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_file_has_the_last_word() {
        let top = Rules::from_text(None, b"", b"*.log\n/target/\n# comment\n");
        let deep = Rules::from_text(Some(top.clone()), b"keep", b"!important.log\n");
        assert!(top.is_ignored(b"a/b.log", false));
        assert!(top.is_ignored(b"target", true) && !top.is_ignored(b"target", false));
        assert!(!top.is_ignored(b"x/target", true));
        assert!(deep.is_ignored(b"keep/other.log", false));
        assert!(!deep.is_ignored(b"keep/important.log", false));
    }
}
