//! The home as a git repository: its state, commits of exactly what we changed, and the way to other machines.

use std::time::Duration;

use super::Call;
use crate::context::Context;
use crate::process::Cancel;
use crate::{Home, Result, ToolsError};

/// The home's repository.
#[derive(Debug, Clone)]
pub(crate) struct Git {
    root: std::path::PathBuf,
    limit: Duration,
    cancel: Cancel,
}

/// Where the home stands beside its remote.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Beside {
    pub branch: String,
    pub upstream: Option<String>,
    pub ahead: u64,
    pub behind: u64,
}

impl Git {
    pub fn of(home: &Home, context: &Context<'_>) -> Self {
        let (limit, cancel) = (context.limits.time, context.cancel.clone());
        Self { root: home.root().to_owned(), limit, cancel }
    }

    pub(super) fn call(&self) -> Call<'_> {
        Call::new(&self.root, self.limit, &self.cancel)
    }

    /// Makes the repository, with nothing of the user's templates in it.
    pub fn init(&self) -> Result<()> {
        self.call().args(["init", "-q", "-b", "main", "--template="]).ok("git init").map(drop)
    }

    /// Clones a home into `folder/name`.
    pub fn clone(
        url: &str,
        folder: &std::path::Path,
        name: &str,
        context: &Context<'_>,
    ) -> Result<()> {
        let call = Call::new(folder, context.limits.time, &context.cancel);
        let args = ["clone", "-q", "--template=", "--no-recurse-submodules", "--", url, name];
        call.args(args).ok("git clone").map(drop)
    }

    /// Whether the home is the top of a repository of its own.
    pub fn is_repository(&self) -> bool {
        let top = self.call().args(["rev-parse", "--show-cdup"]).run();
        top.is_ok_and(|ended| ended.ok() && ended.text().trim().is_empty())
    }

    /// What hashes mean must not depend on attributes that a plugin brings, or on settings of this machine.
    pub fn keep_bytes(&self) -> Result<()> {
        let path = self.call().args(["rev-parse", "--git-path", "info/attributes"]).ok("git")?;
        let path = self.root.join(path.trim());
        let line = "* -text -filter -ident -working-tree-encoding -export-subst\n";
        match crate::home::files::read(&path)? {
            Some(text) if text.contains(line.trim()) => Ok(()),
            text => {
                let text = text.unwrap_or_default() + line;
                crate::home::files::replace(&path, text.as_bytes(), 0o600)
            }
        }
    }

    /// Refuses a repository in which a commit would be lost or would mix with something unfinished.
    pub fn refuse_unfinished(&self) -> Result<()> {
        let status = self.status(&[])?;
        if status.unmerged {
            return Err(ToolsError::Git(
                "the home has merge conflicts: choose, then `atelier tool git commit -a`".into(),
            ));
        }
        for (file, what) in [
            ("MERGE_HEAD", "a merge"),
            ("rebase-merge", "a rebase"),
            ("rebase-apply", "a rebase"),
            ("CHERRY_PICK_HEAD", "a cherry-pick"),
            ("REVERT_HEAD", "a revert"),
        ] {
            if self.root.join(".git").join(file).exists() {
                return Err(ToolsError::Git(format!(
                    "{what} is under way in the home; finish it with `atelier tool git`"
                )));
            }
        }
        match status.beside.branch.as_str() {
            "(detached)" => Err(ToolsError::Git(
                "the home is on no branch, so a commit would be lost: `atelier tool git switch main`".into(),
            )),
            _ => Ok(()),
        }
    }

    /// Which of these paths differ from the last commit.
    pub fn changed(&self, paths: &[&str]) -> Result<Vec<String>> {
        Ok(self.status(paths)?.changed)
    }

    /// Files that git knows and that were changed.
    pub fn edited(&self) -> Result<Vec<String>> {
        let mut all = self.status(&[])?;
        all.changed.retain(|path| !all.untracked.contains(path));
        Ok(all.changed)
    }

    /// Branch, remote branch, and how many commits they are apart.
    pub fn beside(&self) -> Result<Beside> {
        Ok(self.status(&[])?.beside)
    }

    fn status(&self, paths: &[&str]) -> Result<Status> {
        let args = [
            "status",
            "--porcelain=v2",
            "--branch",
            "-z",
            "--no-renames",
            "--untracked-files=all",
            "--ignore-submodules=all",
        ];
        let args = args.into_iter().chain((!paths.is_empty()).then_some("--"));
        let text = self.call().args(args.chain(paths.iter().copied())).ok("git status")?;
        Ok(Status::read(&text))
    }

    /// Commits these paths as they are now, and nothing else; nothing when they are as committed.
    pub fn commit(&self, message: &str, paths: &[String]) -> Result<Option<String>> {
        if paths.is_empty() {
            return Ok(None);
        }
        self.refuse_unfinished()?;
        let files = self.files_of(paths)?;
        if files.is_empty() {
            return Ok(None);
        }
        let list = |files: &[String]| files.join("\0").into_bytes();
        let index = ["update-index", "--add", "--remove", "--replace", "-z", "--stdin"];
        self.call().args(index).input(list(&files)).ok("git update-index")?;
        let born = self.call().args(["rev-parse", "-q", "--verify", "HEAD"]).run()?.ok();
        let files = if born { self.staged(&files)? } else { files };
        if files.is_empty() {
            return Ok(None);
        }
        let mut call = self.call().args(["commit", "-q", "--no-verify", "-m", message]);
        if born {
            call = call
                .args(["--only", "--pathspec-from-file=-", "--pathspec-file-nul"])
                .input(list(&files));
        }
        for (name, value) in self.identity()? {
            call = call.env(name, value);
        }
        call.ok("git commit")?;
        let head = self.call().args(["rev-parse", "HEAD"]).ok("git rev-parse")?;
        Ok(Some(head.trim().to_owned()))
    }

    /// The files that paths stand for: those that are there, and those that git still knows.
    fn files_of(&self, paths: &[String]) -> Result<Vec<String>> {
        let mut files = Vec::new();
        let mut gone = Vec::new();
        for path in paths {
            match std::fs::symlink_metadata(self.root.join(path)) {
                Ok(data) if data.is_dir() => {}
                Ok(_) => files.push(path.clone()),
                Err(_) => gone.push(path.as_str()),
            }
        }
        if !gone.is_empty() {
            let args = ["ls-files", "-z", "--"].into_iter().chain(gone);
            let known = self.call().args(args).ok("git ls-files")?;
            files.extend(known.split('\0').filter(|f| !f.is_empty()).map(str::to_owned));
        }
        files.sort();
        files.dedup();
        Ok(files)
    }

    /// Which of these files the index has otherwise than the last commit.
    fn staged(&self, files: &[String]) -> Result<Vec<String>> {
        let args =
            ["diff", "--cached", "--name-only", "--no-renames", "--no-ext-diff", "-z", "HEAD"];
        let all = self.call().args(args).ok("git diff")?;
        let all: Vec<&str> = all.split('\0').collect();
        Ok(files.iter().filter(|f| all.contains(&f.as_str())).cloned().collect())
    }

    /// The user's own name, or ours when git has none.
    fn identity(&self) -> Result<Vec<(&'static str, &'static str)>> {
        let known = self.call().args(["config", "--get", "user.email"]).run()?.ok();
        let given = |name| std::env::var_os(name).is_some();
        Ok(match known || given("GIT_AUTHOR_EMAIL") || given("EMAIL") {
            true => Vec::new(),
            false => vec![
                ("GIT_AUTHOR_NAME", "Atelier"),
                ("GIT_AUTHOR_EMAIL", "atelier@localhost"),
                ("GIT_COMMITTER_NAME", "Atelier"),
                ("GIT_COMMITTER_EMAIL", "atelier@localhost"),
            ],
        })
    }

    /// Asks the remote what is new there; nothing when there is no remote.
    pub fn fetch(&self) -> Result<bool> {
        if self.call().args(["remote"]).ok("git remote")?.trim().is_empty() {
            return Ok(false);
        }
        self.call().far().args(["fetch", "-q", "--no-recurse-submodules"]).ok("git fetch")?;
        Ok(true)
    }

    /// Takes over what the remote has, when we have nothing of our own; otherwise our commits go on top of theirs.
    pub fn pull(&self, rebase: bool) -> Result<()> {
        if !rebase {
            return self
                .call()
                .args(["merge", "-q", "--ff-only", "@{upstream}"])
                .ok("git merge")
                .map(drop);
        }
        let mut call = self.call().args(["rebase", "-q", "--no-autostash", "@{upstream}"]);
        for (name, value) in self.identity()? {
            call = call.env(name, value);
        }
        let done = call.ok("git rebase");
        if done.is_err() {
            self.call().args(["rebase", "--abort"]).run()?;
        }
        done.map(drop)
    }

    /// Gives our commits to the remote.
    pub fn push(&self) -> Result<()> {
        let beside = self.beside()?;
        let args: Vec<&str> = match beside.upstream {
            Some(_) => vec!["push", "-q"],
            None => vec!["push", "-q", "-u", "origin", beside.branch.as_str()],
        };
        self.call().far().args(args).ok("git push").map(drop)
    }

    /// Brings files back as they were committed.
    pub fn restore(&self, files: &[String]) -> Result<()> {
        let args = ["checkout", "-q", "HEAD", "--pathspec-from-file=-", "--pathspec-file-nul"];
        let input = files.join("\0").into_bytes();
        self.call().args(args).input(input).ok("git checkout").map(drop)
    }
}

#[derive(Debug, Default)]
struct Status {
    beside: Beside,
    changed: Vec<String>,
    untracked: Vec<String>,
    unmerged: bool,
}

impl Status {
    /// git-status(1), porcelain format version 2.
    fn read(text: &str) -> Self {
        let mut status = Self::default();
        for line in text.split('\0') {
            let words: Vec<&str> = line.split(' ').collect();
            match words.as_slice() {
                ["#", "branch.head", head] => status.beside.branch = (*head).to_owned(),
                ["#", "branch.upstream", up] => status.beside.upstream = Some((*up).to_owned()),
                ["#", "branch.ab", ahead, behind] => {
                    status.beside.ahead = ahead.trim_start_matches('+').parse().unwrap_or(0);
                    status.beside.behind = behind.trim_start_matches('-').parse().unwrap_or(0);
                }
                ["1", rest @ ..] if rest.len() > 7 => status.changed.push(rest[7..].join(" ")),
                ["u", ..] => status.unmerged = true,
                ["?", rest @ ..] => {
                    status.changed.push(rest.join(" "));
                    status.untracked.push(rest.join(" "));
                }
                _ => {}
            }
        }
        status
    }
}
