//! An environment's changes as commits on a new branch. The user's working tree and index are not
//! touched: git works with an index and a work tree of ours.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use super::{Applied, ApplyOptions, Branch, objects};
use crate::base::store::make_dir;
use crate::changes::side::{GitMode, Layers, Pair, Side};
use crate::error::{Error, Result};
use crate::files::entry::is_below;
use crate::files::scan::Skipped;
use crate::files::view::{Merged, Node};
use crate::git::{Git, head, line};
use crate::project::{GitInfo, Project};
use crate::quote::{as_path, path_text};
use crate::workspace::Workspace;

pub(crate) struct Maker<'a> {
    pub workspace: &'a Workspace,
    pub project: &'a Project,
    pub layers: &'a Layers,
    pub options: &'a ApplyOptions,
    pub name: &'a str,
}

/// A path with what it shall be in a tree.
type Wanted = (Vec<u8>, Option<Side>);

impl Maker<'_> {
    pub(crate) fn make(&self, pairs: &[Pair], mut skipped: Vec<Skipped>) -> Result<Applied> {
        let root = &self.project.root;
        let git = self.project.git.as_ref().ok_or_else(|| Error::NotGit { root: root.clone() })?;
        self.check_name()?;
        let temp = tempfile::tempdir_in(self.workspace.layer_dir())
            .map_err(|e| Error::io("write", self.workspace.layer_dir(), e))?;
        let start = self.workspace.head.as_deref();
        let own = self.own_commits(git, temp.path())?;
        // Without commits of its own the environment stands on what was brought in last.
        let synced = self.workspace.synced.as_ref().filter(|_| own.is_none());
        let start = synced.map_or(start, |synced| synced.head.as_deref());
        let parent = own.as_deref().or(start);
        let mut wanted: Vec<Wanted> =
            pairs.iter().map(|p| (p.path.clone(), p.new.clone())).collect();
        if own.is_some() {
            self.add_committed(&mut wanted, start, parent)?;
        }
        let tree = Tree { root, git, layers: self.layers, temp: temp.path() };
        let (id, left_out) = tree.write("new", parent, &wanted)?;
        skipped.extend(left_out);
        let same = parent.map(|p| tree.of(p)).transpose()?.is_some_and(|t| t == id);
        let changed = wanted.iter().map(|(p, _)| path_text(p)).collect();
        let dry_run = self.options.dry_run;
        let mut applied = Applied { changed, skipped, dry_run, ..Applied::default() };
        if same && own.is_none() {
            applied.changed.clear();
            return Ok(applied);
        }
        let whole_files = self.dirty_before(&tree, start, pairs)?;
        if dry_run {
            let name = self.name.to_owned();
            applied.branch = Some(Branch { name, whole_files, ..Branch::default() });
            return Ok(applied);
        }
        let commit = match parent {
            Some(parent) if same => parent.to_owned(),
            _ => self.commit(&id, parent)?,
        };
        self.set_branch(&commit)?;
        let commits = self.count(start, &commit)?;
        applied.branch = Some(Branch { name: self.name.to_owned(), commit, commits, whole_files });
        Ok(applied)
    }

    fn git(&self) -> Git {
        Git::new(&self.project.root)
    }

    fn check_name(&self) -> Result<()> {
        let full = format!("refs/heads/{}", self.name);
        let valid = !self.name.starts_with('-')
            && self.git().args(["check-ref-format", &full]).ask("check the name")?.is_some();
        if !valid {
            return Err(Error::Git {
                doing: "make the branch",
                why: format!("{:?} is no name for a branch", self.name),
                hint: Some("`git help check-ref-format` has the rules".to_owned()),
            });
        }
        let there = self.git().args(["show-ref", "--verify", "--quiet", &full]);
        match there.ask("look for the branch")? {
            Some(_) => Err(Error::Exists { what: format!("the branch {}", self.name) }),
            None => Ok(()),
        }
    }

    /// The commit that the environment is on, when it made commits of its own; they are brought
    /// into the project's repository.
    fn own_commits(&self, git: &GitInfo, temp: &Path) -> Result<Option<String>> {
        let view = Merged::of(&self.workspace.layers())?;
        let Ok(Some(Node::Dir(dir))) = view.child(b".git") else { return Ok(None) };
        let Some(id) = head::of_dir(&dir) else { return Ok(None) };
        if Some(&id) == self.workspace.head.as_ref() {
            return Ok(None);
        }
        objects::bring(self.workspace, &self.project.root, git, &id, temp)?;
        Ok(Some(id))
    }

    /// What the environment committed and then changed back is no change against the snapshot,
    /// but it is one against the commit.
    fn add_committed(
        &self,
        wanted: &mut Vec<Wanted>,
        start: Option<&str>,
        parent: Option<&str>,
    ) -> Result<()> {
        let (Some(start), Some(parent)) = (start, parent) else { return Ok(()) };
        let listed = self
            .git()
            .args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", start, parent])
            .run("list what was committed")?;
        let known: BTreeSet<Vec<u8>> = wanted.iter().map(|(p, _)| p.clone()).collect();
        let view = Merged::of(&self.workspace.layers())?;
        for path in listed.split(|b| *b == 0).filter(|p| !p.is_empty() && !known.contains(*p)) {
            let node = view.find(path).map_err(|e| Error::io("read", as_path(path), e))?;
            let side = match node {
                Some(Node::Leaf(leaf)) => GitMode::of(&leaf.entry).map(|mode| Side { leaf, mode }),
                // A submodule, or a folder in the place of a file.
                Some(Node::Dir(_)) => continue,
                None => None,
            };
            wanted.push((path.to_vec(), side));
        }
        Ok(())
    }

    /// The changed files that had uncommitted changes in the snapshot already.
    fn dirty_before(
        &self,
        tree: &Tree<'_>,
        start: Option<&str>,
        pairs: &[Pair],
    ) -> Result<Vec<String>> {
        let Some(start) = start else { return Ok(Vec::new()) };
        let before: Vec<Wanted> = pairs
            .iter()
            .filter(|p| p.old.is_some() && p.new.is_some())
            .map(|p| (p.path.clone(), p.old.clone()))
            .collect();
        let (id, _) = tree.write("old", Some(start), &before)?;
        let listed = self
            .git()
            .args(["diff-tree", "-r", "-z", "--name-only", "--no-renames", start, &id])
            .run("compare with the snapshot")?;
        let paths = listed.split(|b| *b == 0).filter(|p| !p.is_empty());
        Ok(paths.map(path_text).collect())
    }

    fn commit(&self, tree: &str, parent: Option<&str>) -> Result<String> {
        let default = format!("Changes of an environment of {}", self.project.name);
        let message = self.options.message.clone().unwrap_or(default);
        let mut args = vec!["commit-tree", tree];
        if let Some(parent) = parent {
            args.extend(["-p", parent]);
        }
        let made = self.git().args(args).input(message.into_bytes()).run("commit");
        made.map(line).map_err(|error| match error {
            Error::Git { doing, why, .. } if !self.has_identity() => {
                let hint = "git config --global user.name NAME; \
                            git config --global user.email ADDRESS";
                Error::Git { doing, why, hint: Some(hint.to_owned()) }
            }
            other => other,
        })
    }

    fn has_identity(&self) -> bool {
        matches!(self.git().args(["config", "user.email"]).ask("read the settings"), Ok(Some(_)))
    }

    fn set_branch(&self, commit: &str) -> Result<()> {
        let full = format!("refs/heads/{}", self.name);
        // The empty old value: the branch must not exist.
        self.git()
            .args(["update-ref", "-m", "atelier env apply", &full, commit, ""])
            .run("make the branch")?;
        Ok(())
    }

    fn count(&self, start: Option<&str>, commit: &str) -> Result<usize> {
        let mut args = vec!["rev-list".to_owned(), "--count".to_owned(), commit.to_owned()];
        args.extend(start.map(|s| format!("^{s}")));
        let counted = self.git().args(args).run("count the commits")?;
        Ok(line(counted).parse().unwrap_or(1))
    }
}

/// Makes git trees from contents in the layers.
struct Tree<'a> {
    root: &'a Path,
    git: &'a GitInfo,
    layers: &'a Layers,
    temp: &'a Path,
}

impl Tree<'_> {
    /// The tree of a commit.
    fn of(&self, commit: &str) -> Result<String> {
        let name = format!("{commit}^{{tree}}");
        Git::new(self.root).args(["rev-parse", "--verify", &name]).run("read the commit").map(line)
    }

    /// The tree of `parent` with these paths replaced; and what lies in submodules, which belongs
    /// to their own repositories.
    fn write(
        &self,
        name: &str,
        parent: Option<&str>,
        wanted: &[Wanted],
    ) -> Result<(String, Vec<Skipped>)> {
        let files = self.temp.join(name);
        make_dir(&files)?;
        let index = self.temp.join(format!("{name}.index"));
        let git = |args: &[&str]| {
            Git::new(&files)
                .args([
                    "-c",
                    "core.fileMode=true",
                    "-c",
                    "core.symlinks=true",
                    "-c",
                    "core.bare=false",
                ])
                .args(args)
                .env("GIT_DIR", &self.git.git_dir)
                .env("GIT_WORK_TREE", &files)
                .env("GIT_INDEX_FILE", OsString::from(&index))
        };
        git(&["read-tree", parent.unwrap_or("--empty")]).run("read the commit")?;
        let listed = git(&["ls-files", "--stage", "-z"]).run("list the files")?;
        let submodules: Vec<&[u8]> = listed
            .split(|b| *b == 0)
            .filter(|l| l.starts_with(b"160000 "))
            .filter_map(|l| Some(&l[l.iter().position(|b| *b == b'\t')? + 1..]))
            .collect();
        let (mut paths, mut skipped) = (Vec::new(), Vec::new());
        for (path, side) in wanted {
            if submodules.iter().any(|s| path == s || is_below(path, s)) {
                skipped.push(Skipped::new(path, "it belongs to a submodule"));
                continue;
            }
            if let Some(side) = side {
                self.put(&files, path, side)?;
            }
            paths.extend_from_slice(path);
            paths.push(0);
        }
        git(&["update-index", "-z", "--add", "--remove", "--replace", "--stdin"])
            .input(paths)
            .run("add the changed files")?;
        let id = git(&["write-tree"]).run("write the tree").map(line)?;
        Ok((id, skipped))
    }

    fn put(&self, files: &Path, path: &[u8], side: &Side) -> Result<()> {
        use std::os::unix::ffi::OsStrExt;
        let target = files.join(as_path(path));
        if let Some(dir) = target.parent() {
            make_dir(dir)?;
        }
        let fail = |e| Error::io("write", &target, e);
        if side.mode.is_link() {
            let link = self.layers.read(side)?;
            return symlink(std::ffi::OsStr::from_bytes(&link), &target).map_err(fail);
        }
        let mut file = std::fs::File::create(&target).map_err(fail)?;
        std::io::copy(&mut self.layers.file(side)?, &mut file).map_err(fail)?;
        let mode = if side.mode == GitMode::Executable { 0o755 } else { 0o644 };
        file.set_permissions(PermissionsExt::from_mode(mode)).map_err(fail)
    }
}
