//! Which changed paths git ignores: the rules of every `.gitignore` in the environment's view,
//! unless the path is tracked on either side.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use ignore::gitignore::Gitignore;

use crate::files::entry::is_below;
use crate::files::ignore_file::Rules;
use crate::files::view::Merged;
use crate::git::Git;
use crate::project::{GitInfo, Project};

/// The longest ignore file and index that are read, in bytes.
const RULES_LIMIT: u64 = 1 << 20;
const INDEX_LIMIT: u64 = 256 << 20;

/// What git ignores in one project.
pub(crate) struct Ignored<'a> {
    git: &'a GitInfo,
    root: &'a Path,
    /// Both sides' index files; `None` where the repository is outside the work tree.
    indexes: Vec<Option<Vec<u8>>>,
    tracked: Option<BTreeSet<Vec<u8>>>,
}

impl<'a> Ignored<'a> {
    /// `None` when the project has no git repository.
    pub(crate) fn new(project: &'a Project, sides: [&Merged; 2]) -> Option<Self> {
        let git = project.git.as_ref()?;
        let indexes = sides.map(|s| s.read_below(".git/index", INDEX_LIMIT)).into();
        Some(Self { git, root: &project.root, indexes, tracked: None })
    }

    /// The rules above the top folder's own: the user's, then the repository's.
    pub(crate) fn top_rules(&self) -> Option<Arc<Rules>> {
        let user = Rules::given(None, Gitignore::global().0);
        match std::fs::read(self.git.common_dir.join("info/exclude")) {
            Ok(text) => Some(Rules::from_text(Some(user), b"", &text)),
            Err(_) => Some(user),
        }
    }

    /// The rules in a folder, given those above it.
    pub(crate) fn enter(above: Option<Arc<Rules>>, dir: &Merged) -> Option<Arc<Rules>> {
        match dir.read_small(b".gitignore", RULES_LIMIT) {
            Some(text) => Some(Rules::from_text(above, dir.path(), &text)),
            None => above,
        }
    }

    /// Whether git tracks the path, or for a folder anything below it.
    pub(crate) fn is_tracked(&mut self, path: &[u8]) -> bool {
        if self.tracked.is_none() {
            self.tracked = Some(self.load());
        }
        let Some(tracked) = &self.tracked else { return false };
        tracked.range(path.to_vec()..).next().is_some_and(|t| t == path)
            || tracked.range([path, b"/"].concat()..).next().is_some_and(|t| is_below(t, path))
    }

    fn load(&self) -> BTreeSet<Vec<u8>> {
        let mut all = BTreeSet::new();
        let mut indexes: Vec<_> = self.indexes.iter().flatten().collect();
        indexes.dedup();
        for index in &indexes {
            let Ok(file) = tempfile::NamedTempFile::new() else { continue };
            if std::fs::write(file.path(), index).is_ok() {
                self.list(Some(file.path()), &mut all);
            }
        }
        if indexes.is_empty() {
            self.list(None, &mut all);
        }
        all
    }

    fn list(&self, index: Option<&Path>, all: &mut BTreeSet<Vec<u8>>) {
        let mut git = Git::new(self.root).env("GIT_DIR", &self.git.git_dir);
        if let Some(index) = index {
            git = git.env("GIT_INDEX_FILE", index);
        }
        // An index that git cannot read tracks nothing.
        let listed = git.args(["ls-files", "-z"]).run("list the tracked files").unwrap_or_default();
        all.extend(listed.split(|b| *b == 0).filter(|p| !p.is_empty()).map(<[u8]>::to_vec));
    }
}
