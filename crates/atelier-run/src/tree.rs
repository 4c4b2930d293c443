//! An environment's files as its commands see them, for those outside who change them.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_environment::Mode;
use atelier_files::below;
use atelier_guest::wire::{ProcessConfig, StartRequest};
use atelier_sandbox::Live;

use crate::error::broken;
use crate::record::Record;
use crate::workshop::Workshop;

/// The folder, for as long as this lives.
#[derive(Debug)]
pub(crate) struct Tree {
    path: PathBuf,
    _open: Option<OwnedFd>,
}

impl Tree {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Workshop {
    /// The files of an environment. Layers that nobody sees outside are seen through its sandbox, which is
    /// started if need be: only there they are one tree.
    pub(crate) async fn tree(self: &Arc<Self>, record: &Record) -> Result<Tree, Problem> {
        if let Mode::Copy { tree, .. } = &record.workspace.mode {
            return Ok(Tree { path: tree.clone(), _open: None });
        }
        if record.shown {
            return Ok(Tree { path: self.show_tree(record).await?, _open: None });
        }
        let live = self.sandbox(record).await?;
        let first = live.running.instance.init.pid;
        let open = match opened(first, record).await {
            // The first process of an ordinary user's sandbox hides what it sees from its own user, since that is
            // whom commands inside run as. A command does not.
            Err(problem) if problem.exit == ExitCode::NotPermitted.code() => {
                through_command(&live, record).await?
            }
            opened => opened?,
        };
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Tree { path, _open: Some(open) })
    }
}

/// The workspace as a process sees it.
async fn opened(pid: i32, record: &Record) -> Result<OwnedFd, Problem> {
    let root = PathBuf::from(format!("/proc/{pid}/root"));
    let target = record.workspace.target.clone();
    let open = tokio::task::spawn_blocking(move || folder_inside(&root, &target));
    open.await.map_err(|e| broken(&e))?
}

/// Opens the folder at an absolute path of processes whose root is `root`. No symlink of theirs is followed.
fn folder_inside(root: &Path, path: &Path) -> Result<OwnedFd, Problem> {
    let below_root = path.strip_prefix("/").unwrap_or(path);
    let open = below::open_root(root)
        .and_then(|root| below::open_dir(root.as_fd(), below_root.as_os_str().as_bytes()));
    open.map_err(|error| atelier_environment::Error::io("open", path, error).into())
}

/// The same through a command that does nothing but wait.
async fn through_command(live: &Live, record: &Record) -> Result<OwnedFd, Problem> {
    let wait = ["-c".into(), "read -r _".into()];
    let shell = Path::new("/bin/sh");
    let request = StartRequest {
        process: ProcessConfig::of_bytes(shell, &wait, BTreeMap::new(), Path::new("/")),
        stdin: Some(true),
        ..StartRequest::default()
    };
    let stream = live.guest.start(&request).await?;
    let open = match outside(live.running.instance.init.pid, stream.pid()) {
        Some(pid) => opened(pid, record).await,
        None => Err(lost(record)),
    };
    live.guest.signal(stream.pid(), nix::libc::SIGKILL).await?;
    open
}

/// The number that a process of a sandbox has outside: among the children of its first process the one that the
/// kernel says has this number inside.
fn outside(first: i32, inside: u32) -> Option<i32> {
    let children = std::fs::read_to_string(format!("/proc/{first}/task/{first}/children")).ok()?;
    children.split_whitespace().filter_map(|pid| pid.parse().ok()).find(|pid: &i32| {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"));
        let last = numbers.and_then(|numbers| numbers.split_whitespace().last()?.parse().ok());
        last == Some(inside)
    })
}

fn lost(record: &Record) -> Problem {
    let detail = format!("the files of {} can't be reached through its sandbox", record.label());
    Problem::new("env.files", ExitCode::Engine, detail)
        .hint("stop its commands and try again: atelier env stop")
}
