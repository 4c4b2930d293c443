//! Bringing the commits that an environment made in its own copy of the repository into the
//! project's: the objects are offered by a small repository of ours, and git fetches and checks
//! them. git never runs on the environment's own repository, whose settings somebody else wrote.

use std::os::fd::AsFd;
use std::path::Path;

use crate::base::store::make_dir;
use crate::error::{Error, Result};
use crate::files::copy::{Item, Job, copy};
use crate::files::entry::Kind;
use crate::files::scan::{ScanOptions, scan};
use crate::files::view::Merged;
use crate::git::Git;
use crate::project::GitInfo;
use crate::quote::git_quoted;
use crate::workspace::{Mode, Workspace};
use atelier_files::below::open_root;

/// The longest list of shallow commits that is read, in bytes.
const SHALLOW_LIMIT: u64 = 1 << 20;

/// Brings `commit` and everything that it needs into the repository at `root`.
pub(crate) fn bring(
    workspace: &Workspace,
    root: &Path,
    git: &GitInfo,
    commit: &str,
    temp: &Path,
) -> Result<()> {
    let repository = temp.join("offer.git");
    make_dir(&repository.join("refs/heads"))?;
    make_dir(&repository.join("objects/info"))?;
    let put = |name: &str, bytes: &[u8]| {
        let path = repository.join(name);
        std::fs::write(&path, bytes).map_err(|e| Error::io("write", &path, e))
    };
    put("HEAD", b"ref: refs/heads/offer\n")?;
    put("refs/heads/offer", format!("{commit}\n").as_bytes())?;
    put(
        "config",
        if commit.len() == 64 {
            b"[core]\nrepositoryformatversion = 1\nbare = true\n[extensions]\nobjectFormat = sha256\n"
        } else {
            b"[core]\nrepositoryformatversion = 0\nbare = true\n"
        },
    )?;
    let layers = workspace.layers();
    if let Some(text) = Merged::of(&layers)?.read_below(".git/shallow", SHALLOW_LIMIT) {
        put("shallow", &text)?;
    }
    put("objects/info/alternates", &alternates(workspace, git))?;
    copy_objects(workspace, &repository.join("objects"))?;
    Git::new(root)
        .args(["-c", "fetch.fsckObjects=true", "fetch", "--quiet", "--no-tags"])
        .args(["--no-write-fetch-head", "--no-auto-maintenance", "--no-recurse-submodules"])
        .args([repository.as_os_str(), "refs/heads/offer".as_ref()])
        .run("bring the environment's commits")?;
    Ok(())
}

/// Where the snapshot's objects are: in the project, and in the layers that we made.
fn alternates(workspace: &Workspace, git: &GitInfo) -> Vec<u8> {
    use std::os::unix::ffi::OsStrExt;
    let layers = workspace.lowers.iter().map(|l| l.join(".git/objects"));
    let all = std::iter::once(git.common_dir.join("objects")).chain(layers);
    let lines = all
        .filter(|p| p.is_dir())
        .map(|p| [git_quoted("", p.as_os_str().as_bytes()), b"\n".to_vec()].concat());
    lines.collect::<Vec<_>>().concat()
}

/// Copies the plain files among the objects that the environment wrote; anything else in there
/// (a FIFO, a symlink) is not for git to open.
fn copy_objects(workspace: &Workspace, target: &Path) -> Result<()> {
    let top = match &workspace.mode {
        Mode::Overlay { upper, .. } => upper,
        Mode::Copy { tree, .. } => tree,
    };
    let source = top.join(".git/objects");
    let linked = source.symlink_metadata().map_or(true, |m| !m.is_dir())
        || top.join(".git").symlink_metadata().map_or(true, |m| !m.is_dir());
    if linked {
        return Ok(());
    }
    let scan = scan(&source, &ScanOptions::default())?;
    let from = open_root(&source).map_err(|e| Error::io("open", &source, e))?;
    let to = open_root(target).map_err(|e| Error::io("open", target, e))?;
    let wanted = scan.entries.iter().filter(|e| match e.kind {
        Kind::File => !e.path.starts_with(b"info/"),
        Kind::Dir => e.path != b"info",
        _ => false,
    });
    copy(&Job {
        sources: &[from.as_fd()],
        target: to.as_fd(),
        target_path: target,
        root: &scan.root,
        items: wanted.map(|entry| Item { entry, source: 0, link: false }).collect(),
        whiteouts: Vec::new(),
        hide: &|_| false,
        frozen: true,
    })?;
    Ok(())
}
