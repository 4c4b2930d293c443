//! What a layer made here still needs when somebody has it already: to be measured, and to be on the
//! disk. Both are done a moment later and for all layers of that moment together, since whoever makes
//! snapshots and forks must not wait for a disk, nor for another's.

use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, syncfs};

use crate::layers::{LayerInfo, measure, write_info};
use crate::store::lock;
use atelier_files::below::open_root;

/// How long the others of a moment are waited for.
const MOMENT: Duration = Duration::from_millis(500);

/// Hands over to the thread that does it, which is started when there is something to do.
#[derive(Debug, Default)]
pub(crate) struct Settler {
    thread: Mutex<Option<Sender<Work>>>,
}

/// Something new in the store.
#[derive(Debug)]
pub(crate) enum Work {
    /// A layer, in its folder.
    Layer(PathBuf, LayerInfo),
    /// Small files: records and names.
    Files,
}

impl Settler {
    /// Sees to it soon that the work is done. `root` is the store's folder.
    pub(crate) fn soon(&self, root: &Path, work: Work) {
        let mut thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = thread.get_or_insert_with(|| {
            let (sender, receiver) = channel();
            let root = root.to_owned();
            std::thread::spawn(move || settle(&root, &receiver));
            sender
        });
        // The thread ends only with the store.
        let _ = sender.send(work);
    }
}

fn settle(root: &Path, work: &Receiver<Work>) {
    while let Ok(first) = work.recv() {
        std::thread::sleep(MOMENT);
        let all = std::iter::once(first).chain(work.try_iter());
        let layers = all.filter_map(|work| match work {
            Work::Layer(folder, info) => Some((folder, info)),
            Work::Files => None,
        });
        let mut layers: Vec<_> = layers.collect();
        for (folder, info) in &mut layers {
            if info.size_bytes.is_none() {
                info.size_bytes = measure(folder);
                note(root, folder, info);
            }
        }
        if open_root(root).and_then(syncfs).is_err() {
            continue;
        }
        for (folder, info) in &mut layers {
            info.unflushed = None;
            note(root, folder, info);
        }
    }
}

/// Writes down what is known of a layer, unless it was removed meanwhile.
fn note(root: &Path, folder: &Path, info: &LayerInfo) {
    if let Ok(_lock) = lock(root, FlockOperation::LockShared)
        && folder.exists()
    {
        let _ = write_info(folder, info);
    }
}
