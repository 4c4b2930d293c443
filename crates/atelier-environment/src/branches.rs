//! Whether the work of an environment has arrived: its branch in the project's repository is merged, or deleted.

use std::path::Path;

use crate::error::Result;
use crate::files::view::{Merged, Node};
use crate::git::{Git, head, line};
use crate::project::Project;
use crate::workspace::Workspace;

/// The names of branches that its changes were brought to, one a line.
const BROUGHT: &str = "branches";

/// Notes that an environment's changes were brought to a branch. Losing this costs nothing but that
/// [`arrived`] knows less.
pub(crate) fn note(workspace: &Workspace, branch: &str) {
    use std::io::Write;
    let path = workspace.layer_dir().join(BROUGHT);
    if let Ok(mut file) = std::fs::File::options().create(true).append(true).open(path) {
        let _ = writeln!(file, "{branch}");
    }
}

/// How the work arrived, in words; `None` when it did not, or when that can't be known. Looked at are the branches
/// that changes were brought to, else the one that is checked out inside, else the one of the environment's name.
///
/// # Errors
/// When the layers cannot be read, or git fails.
pub fn arrived(workspace: &Workspace, project: &Project, env: &str) -> Result<Option<String>> {
    let Some(git) = project.git.as_ref().filter(|git| git.common_dir.is_dir()) else {
        return Ok(None);
    };
    let repository = Repository { dir: &git.common_dir };
    let Some(main) = repository.main(project)? else { return Ok(None) };
    let brought = std::fs::read_to_string(workspace.layer_dir().join(BROUGHT)).unwrap_or_default();
    let mut branches: Vec<&str> = brought.lines().collect();
    if branches.is_empty() {
        let inside = checked_out(workspace)?.filter(|branch| *branch != main);
        let before = head::branches(&workspace.lowers)?;
        let known = inside.filter(|branch| before.iter().any(|(name, _)| name == branch));
        return match known {
            Some(branch) => repository.end(&branch, &main),
            None if repository.tip(env)?.is_some() && env != main => repository.end(env, &main),
            None => Ok(None),
        };
    }
    branches.dedup();
    let mut said = None;
    for branch in branches {
        match repository.end(branch, &main)? {
            Some(how) => said = Some(how),
            None => return Ok(None),
        }
    }
    Ok(said)
}

/// The branch that is checked out in the environment.
fn checked_out(workspace: &Workspace) -> Result<Option<String>> {
    let view = Merged::of(&workspace.layers())?;
    let Ok(Some(Node::Dir(git))) = view.child(b".git") else { return Ok(None) };
    let text = git.read_small(b"HEAD", 4096).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    Ok(text.trim().strip_prefix("ref: refs/heads/").map(str::to_owned))
}

struct Repository<'a> {
    dir: &'a Path,
}

impl Repository<'_> {
    fn git(&self) -> Git {
        Git::new(self.dir).env("GIT_DIR", self.dir)
    }

    /// The branch that others are merged into: the one of `origin`, else `main` or `master`, else the one that is
    /// checked out.
    fn main(&self, project: &Project) -> Result<Option<String>> {
        let origin = self.git().args(["symbolic-ref", "--quiet", "refs/remotes/origin/HEAD"]);
        let origin = origin.ask("find the main branch")?.map(line);
        let origin = origin.as_deref().and_then(|name| name.strip_prefix("refs/remotes/origin/"));
        for name in origin.into_iter().chain(["main", "master"]) {
            if self.tip(name)?.is_some() {
                return Ok(Some(name.to_owned()));
            }
        }
        let Some(git) = &project.git else { return Ok(None) };
        let head = std::fs::read_to_string(git.git_dir.join("HEAD")).unwrap_or_default();
        Ok(head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned))
    }

    fn tip(&self, branch: &str) -> Result<Option<String>> {
        let full = format!("refs/heads/{branch}^{{commit}}");
        let asked = self.git().args(["rev-parse", "--verify", "--quiet", &full]);
        Ok(asked.ask("look for the branch")?.map(line))
    }

    /// How a branch that there was has ended.
    fn end(&self, branch: &str, main: &str) -> Result<Option<String>> {
        if branch == main {
            return Ok(None);
        }
        let Some(tip) = self.tip(branch)? else {
            return Ok(Some(format!("its branch {branch} was deleted")));
        };
        let full = format!("refs/heads/{main}");
        let merged = self.git().args(["merge-base", "--is-ancestor", &tip, &full]);
        let merged = merged.ask("compare the branches")?.is_some();
        Ok(merged.then(|| format!("its branch {branch} is merged into {main}")))
    }
}
