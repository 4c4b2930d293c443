//! Somebody else's repository: its references, and single commits of it, brought into a bare repository of ours.
//! Nothing is ever checked out: files are read object by object, so no filter, hook, attribute or submodule of
//! theirs has a say.

use std::path::Path;
use std::time::Duration;

use super::Call;
use crate::context::Context;
use crate::process::Cancel;
use crate::{Result, ToolsError};

/// A bare repository of ours that objects of theirs are brought into.
#[derive(Debug)]
pub(crate) struct Remote<'a> {
    folder: &'a Path,
    pub url: String,
    limit: Duration,
    most: u64,
    cancel: Cancel,
}

/// A branch or a tag of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `refs/heads/main`, `refs/tags/v1`, `HEAD`.
    pub name: String,
    pub commit: String,
}

/// A file of theirs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// 100644, 100755, 120000 (a link), 160000 (a submodule).
    pub mode: String,
    pub object: String,
    pub path: String,
}

impl<'a> Remote<'a> {
    /// The repository at `url`; `folder` is an empty one that is thrown away afterwards.
    pub fn open(folder: &'a Path, url: &str, context: &Context<'_>) -> Result<Self> {
        if url.starts_with('-') || url.chars().any(char::is_control) {
            return Err(ToolsError::Usage(format!("`{url}` is no address of a repository")));
        }
        crate::home::files::folder(folder)?;
        let (limit, most) = (context.limits.time, context.limits.bytes.saturating_mul(5));
        let url = url.to_owned();
        Ok(Self { folder, url, limit, most, cancel: context.cancel.clone() })
    }

    fn call(&self) -> Call<'_> {
        Call::new(self.folder, self.limit, &self.cancel).most(self.most)
    }

    fn failed(&self, error: ToolsError) -> ToolsError {
        let shown = crate::source::without_password(&self.url);
        let from = shown.clone();
        match error {
            ToolsError::Git(why)
                if why.contains("did not end within") || why.contains("brought more") =>
            {
                ToolsError::Limit { from, why }
            }
            ToolsError::Git(why) => ToolsError::Fetch {
                why: why.replace(&self.url, &shown),
                by_hand: Some(format!("git ls-remote {from}")),
                from,
            },
            other => other,
        }
    }

    /// Branches and tags; a tag that has an object of its own gives its commit.
    pub fn references(&self) -> Result<Vec<Reference>> {
        let text =
            self.call().far().args(["ls-remote", "--quiet", "--", &self.url]).ok("git ls-remote");
        let text = text.map_err(|e| self.failed(e))?;
        let mut all: Vec<Reference> = Vec::new();
        for line in text.lines() {
            let Some((commit, name)) = line.split_once('\t') else { continue };
            let commit = commit.to_owned();
            match name.strip_suffix("^{}") {
                Some(tag) => all
                    .iter_mut()
                    .filter(|r| r.name == tag)
                    .for_each(|r| r.commit.clone_from(&commit)),
                None => all.push(Reference { name: name.to_owned(), commit }),
            }
        }
        Ok(all)
    }

    /// Brings a commit: without history, and without files where the server can leave them out.
    pub fn bring(&self, commit: &str) -> Result<()> {
        self.init()?;
        let fetch = ["fetch", "-q", "--no-tags", "--no-write-fetch-head", "--depth=1"];
        let one = self.call().far().args(fetch).args(["--filter=blob:none", "origin", commit]);
        let done = one.run().map_err(|e| self.failed(e))?;
        if done.ok() {
            return Ok(());
        }
        // Old servers give only what a reference names.
        let all = self.call().far().args([
            "fetch",
            "-q",
            "--no-write-fetch-head",
            "origin",
            "+refs/heads/*:refs/remotes/origin/*",
            "+refs/tags/*:refs/tags/*",
        ]);
        all.ok("git fetch").map_err(|e| self.failed(e))?;
        let there = self.call().args(["cat-file", "-e", &format!("{commit}^{{commit}}")]).run()?;
        match there.ok() {
            true => Ok(()),
            false => Err(self.failed(ToolsError::Git(format!("it has no commit {commit}")))),
        }
    }

    /// The whole commit that a short one stands for. Needs the history, so it is the slow way.
    pub fn whole_commit(&self, short: &str) -> Result<String> {
        self.init()?;
        let fetch = ["fetch", "-q", "--no-write-fetch-head", "--filter=tree:0", "origin"];
        let refs = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"];
        self.call().far().args(fetch).args(refs).ok("git fetch").map_err(|e| self.failed(e))?;
        let full =
            self.call().args(["rev-parse", "-q", "--verify", &format!("{short}^{{commit}}")]);
        let full = full.run()?;
        match full.ok() {
            true => Ok(full.text().trim().to_owned()),
            false => {
                Err(self
                    .failed(ToolsError::Git(format!("it has no branch, tag or commit `{short}`"))))
            }
        }
    }

    fn init(&self) -> Result<()> {
        if self.folder.join("HEAD").exists() {
            return Ok(());
        }
        self.call().args(["init", "-q", "--bare", "--template="]).ok("git init")?;
        for (key, value) in [
            ("remote.origin.url", self.url.as_str()),
            ("remote.origin.promisor", "true"),
            ("remote.origin.partialclonefilter", "blob:none"),
        ] {
            self.call().args(["config", key, value]).ok("git config")?;
        }
        Ok(())
    }

    /// The files below a folder of a commit, their paths relative to it; nothing when there is no such folder.
    pub fn list(&self, commit: &str, folder: &str) -> Result<Option<Vec<Entry>>> {
        let tree = if folder.is_empty() { commit.to_owned() } else { format!("{commit}:{folder}") };
        let kind = self.call().args(["cat-file", "-t", &tree]).run()?;
        if !kind.ok() || !["tree", "commit"].contains(&kind.text().trim()) {
            return Ok(None);
        }
        let listed =
            self.call().args(["ls-tree", "-r", "-z", "--full-tree", &tree]).ok("git ls-tree")?;
        let entries = listed.split('\0').filter_map(|line| {
            let (about, path) = line.split_once('\t')?;
            let mut words = about.split(' ');
            let (mode, _, object) = (words.next()?, words.next()?, words.next()?);
            Some(Entry { mode: mode.into(), object: object.into(), path: path.into() })
        });
        Ok(Some(entries.collect()))
    }

    /// The contents of objects, in the order of `objects`; more than `most` bytes in all are refused before they
    /// are read.
    pub fn contents(&self, objects: &[String], most: u64) -> Result<Vec<Vec<u8>>> {
        let input = || objects.join("\n").into_bytes();
        let check = || -> Result<String> {
            self.call().args(["cat-file", "--batch-check"]).input(input()).ok("git cat-file")
        };
        let mut about = check()?;
        let missing: Vec<&str> =
            about.lines().filter_map(|line| line.strip_suffix(" missing")).collect();
        if !missing.is_empty() {
            let fetch = [
                "-c",
                "fetch.negotiationAlgorithm=noop",
                "fetch",
                "-q",
                "--no-tags",
                "--no-write-fetch-head",
                "--filter=blob:none",
                "--stdin",
                "origin",
            ];
            let list = missing.join("\n").into_bytes();
            self.call()
                .far()
                .args(fetch)
                .input(list)
                .ok("git fetch")
                .map_err(|e| self.failed(e))?;
            about = check()?;
        }
        let sizes = about.lines().map(|line| line.rsplit(' ').next()?.parse::<u64>().ok());
        let sizes: Option<Vec<u64>> = sizes.collect();
        let sizes = sizes.ok_or_else(|| {
            self.failed(ToolsError::Git("it lacks files of its own commit".into()))
        })?;
        if sizes.iter().sum::<u64>() > most {
            let from = crate::source::without_password(&self.url);
            return Err(ToolsError::Limit {
                from,
                why: format!("it is larger than {} MiB", most >> 20),
            });
        }
        let ended = self.call().args(["cat-file", "--batch"]).input(input()).run()?;
        cut(&ended.stdout, &sizes).ok_or_else(|| self.failed(ToolsError::Git(ended.said())))
    }
}

/// Cuts the output of `git cat-file --batch` into the contents: a line, the bytes, a line end, for each.
fn cut(mut bytes: &[u8], sizes: &[u64]) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for size in sizes {
        let line = bytes.iter().position(|b| *b == b'\n')?;
        let rest = bytes.get(line + 1..)?;
        let size = usize::try_from(*size).ok()?;
        all.push(rest.get(..size)?.to_vec());
        bytes = rest.get(size + 1..)?;
    }
    Some(all)
}
