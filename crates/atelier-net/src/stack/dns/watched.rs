//! A small file of the host that is read again when it has changed.

use std::cell::{Ref, RefCell};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// What identifies a file's contents well enough: device, inode, size, time of change.
type Stamp = (u64, u64, u64, i64, i64);

/// The file's value, as its reader made it. A file that cannot be read is an empty one.
pub(super) struct Watched<T> {
    path: PathBuf,
    parse: fn(&str) -> T,
    state: RefCell<(Option<Stamp>, T)>,
}

impl<T> Watched<T> {
    pub(super) fn new(path: PathBuf, parse: fn(&str) -> T) -> Self {
        let state = RefCell::new((None, parse("")));
        Self { path, parse, state }
    }

    /// The value now.
    pub(super) fn get(&self) -> Ref<'_, T> {
        let stamp = std::fs::metadata(&self.path)
            .ok()
            .map(|m| (m.dev(), m.ino(), m.size(), m.ctime(), m.ctime_nsec()));
        if stamp != self.state.borrow().0 {
            let text = std::fs::read(&self.path).unwrap_or_default();
            let value = (self.parse)(&String::from_utf8_lossy(&text));
            *self.state.borrow_mut() = (stamp, value);
        }
        Ref::map(self.state.borrow(), |(_, value)| value)
    }
}
