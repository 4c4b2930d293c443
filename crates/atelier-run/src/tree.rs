//! An environment's files as its commands see them, for those outside who change them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::Problem;
use atelier_environment::Mode;

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
        let root = PathBuf::from(format!("/proc/{}/root", live.running.instance.init.pid));
        let target = record.workspace.target.clone();
        let open =
            tokio::task::spawn_blocking(move || atelier_environment::open_tree(&root, &target));
        let open = open.await.map_err(|e| broken(&e))??;
        let path = PathBuf::from(format!("/proc/self/fd/{}", open.as_raw_fd()));
        Ok(Tree { path, _open: Some(open) })
    }
}
