//! Which of the files that git does not keep come along: those it ignores, and environment files.

use std::collections::BTreeSet;
use std::sync::Arc;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::config::Copy;
use crate::error::Result;
use crate::files::entry::is_below;
use crate::files::ignore_file::Rules;
use crate::git::Git;
use crate::project::Project;
use crate::quote::as_path;
use crate::recipe::Recipe;

/// What comes along of the files that git does not keep.
#[derive(Debug)]
pub(crate) struct Policy {
    all: bool,
    take: Gitignore,
    leave: Gitignore,
    /// What git keeps comes along in any case.
    tracked: BTreeSet<Vec<u8>>,
    /// git's rules from outside the tree.
    pub rules: Option<Arc<Rules>>,
    /// What it was made from, so that scans by the same policy are shared.
    pub key: String,
}

/// What holds in a folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Zone {
    /// git's rules.
    pub rules: Option<Arc<Rules>>,
    /// git ignores the folder.
    inside: bool,
    /// The folder is named to come along.
    taken: bool,
    /// The folder is named to stay out.
    left: bool,
}

impl Zone {
    /// The top folder, with the rules from outside the tree.
    pub(crate) fn top(rules: Option<Arc<Rules>>) -> Self {
        Self { rules, ..Self::default() }
    }

    /// Whether the folder comes only with something in it.
    pub(crate) const fn is_bare(&self) -> bool {
        self.inside
    }
}

/// What becomes of a path.
#[derive(Debug)]
pub(crate) enum Verdict {
    Comes,
    Stays,
    /// A folder that comes when something in it does.
    Look(Zone),
}

impl Policy {
    /// `None` when everything comes along.
    pub(crate) fn of(recipe: &Recipe, project: &Project) -> Result<Option<Arc<Self>>> {
        let files = &recipe.files;
        if files.copy == Copy::All && files.ignore.is_empty() {
            return Ok(None);
        }
        let mut take = recipe.include.clone();
        if let Copy::Only(globs) = &files.copy {
            take.extend(globs.clone());
        }
        let git = project.git.as_ref();
        let rules = git.map(|git| {
            let user = Rules::given(None, Gitignore::global().0);
            match std::fs::read(git.common_dir.join("info/exclude")) {
                Ok(text) => Rules::from_text(Some(user), b"", &text),
                Err(_) => user,
            }
        });
        let tracked = match git {
            Some(_) => Git::new(&project.root).args(["ls-files", "-z"]).run("list the files")?,
            None => Vec::new(),
        };
        let tracked = tracked.split(|b| *b == 0).filter(|p| !p.is_empty());
        Ok(Some(Arc::new(Self {
            all: files.copy == Copy::All,
            key: format!("{:?} {take:?} {:?}", files.copy, files.ignore),
            take: globs(&take),
            leave: globs(&files.ignore),
            tracked: tracked.map(<[u8]>::to_vec).collect(),
            rules,
        })))
    }

    /// Decides about a path of a folder where `zone` holds.
    pub(crate) fn judge(&self, path: &[u8], is_dir: bool, zone: &Zone) -> Verdict {
        if path == b".git" || is_below(path, b".git") {
            return Verdict::Comes;
        }
        let below = || Zone { rules: zone.rules.clone(), ..Zone::default() };
        let matched = |globs: &Gitignore| globs.matched(as_path(path), is_dir).is_ignore();
        let left = zone.left || matched(&self.leave);
        if !is_dir && self.tracked.contains(path) {
            return Verdict::Comes;
        }
        if left {
            return match is_dir && self.keeps_below(path) {
                true => Verdict::Look(Zone { inside: true, left: true, ..below() }),
                false => Verdict::Stays,
            };
        }
        let ignored = zone.inside
            || zone.rules.as_ref().is_some_and(|rules| rules.is_ignored(path, is_dir))
            || (!is_dir && is_env_file(path));
        let taken = zone.taken || matched(&self.take);
        match (ignored, is_dir) {
            (false, true) => Verdict::Look(below()),
            (false, false) => Verdict::Comes,
            (true, true) if self.all || !self.take.is_empty() || self.keeps_below(path) => {
                Verdict::Look(Zone { inside: true, taken, ..below() })
            }
            (true, false) if self.all || taken => Verdict::Comes,
            (true, _) => Verdict::Stays,
        }
    }

    fn keeps_below(&self, path: &[u8]) -> bool {
        let first = [path, b"/"].concat();
        self.tracked.range(first..).next().is_some_and(|kept| is_below(kept, path))
    }
}

/// `.env`, `.env.local` and the like.
fn is_env_file(path: &[u8]) -> bool {
    let name = path.rsplit(|byte| *byte == b'/').next().unwrap_or(path);
    name == b".env" || name.starts_with(b".env.")
}

/// Globs in the syntax of ignore files; one that is none matches nothing.
fn globs(patterns: &[String]) -> Gitignore {
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        let _ = builder.add_line(None, pattern);
    }
    builder.build().unwrap_or_else(|_| Gitignore::empty())
}
