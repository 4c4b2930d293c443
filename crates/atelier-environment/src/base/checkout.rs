//! Clean checkouts of commits, as bases of their own: made once for each commit and state of the
//! repository's branches, and shared by all environments made from it.

use std::path::Path;

use super::manifest::Manifest;
use super::store::{Bases, Generation, hex, make_dir};
use crate::error::{Error, Result};
use crate::files::scan::{ScanOptions, scan};
use crate::git::{Git, line};
use crate::project::Project;

/// Settings that come along: who commits, where remotes are, what branches follow. Nothing that
/// git would execute.
const SETTINGS: &str =
    r"^(user\.(name|email)|remote\..*\.(url|pushurl|fetch)|branch\..*\.(remote|merge|rebase))$";

/// What is to be checked out.
struct Wanted {
    commit: String,
    /// The local branch of that name, when it is one.
    branch: Option<String>,
    /// `key\nvalue\0` each, as `git config -z` lists them.
    settings: Vec<u8>,
    name: String,
}

/// The base with a clean checkout of `name`; and whether it was made just now.
pub(crate) fn generation(
    project: &Project,
    bases: &Bases,
    name: &str,
) -> Result<(Generation, bool)> {
    if project.git.is_none() {
        return Err(Error::NotGit { root: project.root.clone() });
    }
    let wanted = resolve(&project.root, name)?;
    if let Some(generation) = bases.get(&wanted.name)? {
        return Ok((generation, false));
    }
    let _lock = bases.lock()?;
    if let Some(generation) = bases.get(&wanted.name)? {
        return Ok((generation, false));
    }
    // One of that name which `get` does not trust is from before a crash of the machine.
    atelier_files::remove(&bases.dir.join(&wanted.name))?;
    let (generation, ()) = bases.build(&wanted.name, |dir| make(&project.root, dir, &wanted))?;
    Ok((generation, true))
}

/// The base with nothing in it; and whether it was made just now.
pub(crate) fn empty(bases: &Bases) -> Result<(Generation, bool)> {
    const NAME: &str = "ref-empty";
    if let Some(generation) = bases.get(NAME)? {
        return Ok((generation, false));
    }
    let _lock = bases.lock()?;
    if let Some(generation) = bases.get(NAME)? {
        return Ok((generation, false));
    }
    atelier_files::remove(&bases.dir.join(NAME))?;
    let (generation, ()) = bases.build(NAME, |dir| {
        let tree = dir.join("tree");
        make_dir(&tree)?;
        manifest(dir, &tree)
    })?;
    Ok((generation, true))
}

fn resolve(root: &Path, name: &str) -> Result<Wanted> {
    let unknown = || Error::Git {
        doing: "find the commit",
        why: format!("there is no branch, tag or commit {name:?}"),
        hint: Some("`git branch --all` and `git tag` list what there is".to_owned()),
    };
    if name.is_empty() || name.starts_with('-') {
        return Err(unknown());
    }
    let commit = format!("{name}^{{commit}}");
    let commit = Git::new(root)
        .args(["rev-parse", "--verify", "--quiet", &commit])
        .ask("find the commit")?
        .map(line)
        .ok_or_else(unknown)?;
    let branch = format!("refs/heads/{name}");
    let branch = Git::new(root)
        .args(["show-ref", "--verify", "--quiet", &branch])
        .ask("look for the branch")?
        .map(|_| name.to_owned());
    let refs = Git::new(root)
        .args(["for-each-ref", "--format=%(objectname) %(refname)"])
        .run("list the branches")?;
    let settings = Git::new(root)
        .args(["config", "--local", "-z", "--get-regexp", SETTINGS])
        .ask("read the settings")?
        .unwrap_or_default();
    let key = [commit.as_bytes(), branch.as_deref().unwrap_or("").as_bytes(), &refs, &settings];
    let name = format!("ref-{}", hex(&key.join(&0)));
    Ok(Wanted { commit, branch, settings, name })
}

/// Clones into `<dir>/tree`. Object files are copied, not hard-linked: a link would change the
/// metadata of the user's own files.
fn make(root: &Path, dir: &Path, wanted: &Wanted) -> Result<()> {
    let tree = dir.join("tree");
    make_dir(&tree)?;
    Git::new(dir)
        .args(["clone", "--quiet", "--bare", "--local", "--no-hardlinks", "--template=", "--"])
        .args([root.as_os_str(), tree.join(".git").as_os_str()])
        .run("clone the repository")?;
    let git = || Git::new(&tree);
    git().args(["config", "core.bare", "false"]).run("configure the clone")?;
    git().args(["config", "core.logAllRefUpdates", "true"]).run("configure the clone")?;
    git().args(["config", "--remove-section", "remote.origin"]).ask("configure the clone")?;
    for setting in wanted.settings.split(|b| *b == 0).filter(|s| !s.is_empty()) {
        let text = String::from_utf8_lossy(setting);
        let (key, value) = text.split_once('\n').unwrap_or((&text, ""));
        git().args(["config", "--add", key, value]).run("configure the clone")?;
    }
    git()
        .args(["fetch", "--quiet", "--no-tags", "--no-write-fetch-head"])
        .args([root.as_os_str(), "+refs/remotes/*:refs/remotes/*".as_ref()])
        .run("bring the remote branches")?;
    match &wanted.branch {
        Some(branch) => {
            let head = format!("refs/heads/{branch}");
            git().args(["symbolic-ref", "HEAD", &head]).run("check out the branch")?;
        }
        None => {
            git()
                .args(["update-ref", "--no-deref", "HEAD", &wanted.commit])
                .run("check out the commit")?;
        }
    }
    git().args(["reset", "--quiet", "--hard"]).run("check out the files")?;
    manifest(dir, &tree)
}

/// A checkout is never compared with the project; its manifest only says that it is whole.
fn manifest(dir: &Path, tree: &Path) -> Result<()> {
    let scan = scan(tree, &ScanOptions::default())?;
    let manifest = Manifest { started: scan.started, root: scan.root, entries: scan.entries };
    let path = dir.join("manifest");
    std::fs::write(&path, manifest.encode()).map_err(|e| Error::io("write", &path, e))
}
