//! What a client sent and nobody has read yet.
//!
//! The SSH library grants a client more as soon as something arrives, read or not, and hands
//! everything over on the connection's one task. Waiting there for a process that reads nothing
//! would hold up every other channel, and for good where that process itself waits for the client
//! (`ssh host cat < big`). So what is not read within a short time goes into files without a name,
//! and memory stays flat. Only that task puts in, only one task takes out.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::Notify;

/// Bytes that are held in memory.
const MEMORY: usize = 1 << 20;
/// Bytes of one file; a file that was read is given back at once.
const FILE: u64 = 16 << 20;
/// Bytes beyond which a client waits long for each packet.
const MUCH: u64 = 4 << 30;
/// Bytes that are taken out at once.
const TAKEN: usize = 256 << 10;
/// How long the connection waits for a reader before the bytes go into a file.
const PATIENCE: Duration = Duration::from_millis(2);
/// The same when there is much in files.
const LONG_PATIENCE: Duration = Duration::from_millis(100);

/// Bytes on their way from a client to a process or a port.
#[derive(Debug, Clone)]
pub(crate) struct Inbox(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Something was put in.
    filled: Notify,
    /// Something was taken out.
    drained: Notify,
    scratch: PathBuf,
}

#[derive(Debug, Default)]
struct State {
    memory: VecDeque<Bytes>,
    in_memory: usize,
    /// Younger than what is in memory.
    files: VecDeque<Spill>,
    in_files: u64,
    ended: bool,
    /// Nobody reads any more.
    closed: bool,
}

#[derive(Debug)]
struct Spill {
    file: File,
    written: u64,
    read: u64,
}

impl Inbox {
    /// An empty one; its files are made in `scratch`.
    pub(crate) fn new(scratch: PathBuf) -> Self {
        let (state, filled, drained) = (Mutex::default(), Notify::new(), Notify::new());
        Self(Arc::new(Shared { state, filled, drained, scratch }))
    }

    /// Puts bytes in.
    ///
    /// # Errors
    /// When they fit neither into memory nor onto the disk: they are lost, so the channel must end.
    pub(crate) fn put(&self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        if state.closed || bytes.is_empty() {
            return Ok(());
        }
        if state.files.is_empty() && state.in_memory < MEMORY {
            state.in_memory += bytes.len();
            state.memory.push_back(Bytes::copy_from_slice(bytes));
        } else {
            state.spill(bytes, &self.0.scratch)?;
        }
        drop(state);
        self.0.filled.notify_one();
        Ok(())
    }

    /// Waits until there is room again, or for as long as a client is made to wait.
    pub(crate) async fn room(&self) {
        let patience = {
            let state = self.state();
            if state.in_memory < MEMORY && state.in_files == 0 {
                return;
            }
            if state.in_files > MUCH { LONG_PATIENCE } else { PATIENCE }
        };
        let drained = async {
            while self.state().is_full() {
                self.0.drained.notified().await;
            }
        };
        let _ = tokio::time::timeout(patience, drained).await;
    }

    /// Nothing more will be put in.
    pub(crate) fn end(&self) {
        self.state().ended = true;
        self.0.filled.notify_one();
    }

    /// Nobody will take anything out any more.
    pub(crate) fn close(&self) {
        let mut state = self.state();
        *state = State { closed: true, ended: true, ..State::default() };
        drop(state);
        self.0.drained.notify_one();
        self.0.filled.notify_one();
    }

    /// The next bytes; None at the end.
    ///
    /// # Errors
    /// When a file can't be read.
    pub(crate) async fn take(&self) -> io::Result<Option<Bytes>> {
        loop {
            {
                let mut state = self.state();
                if let Some(bytes) = state.take()? {
                    drop(state);
                    self.0.drained.notify_one();
                    return Ok(Some(bytes));
                }
                if state.ended {
                    return Ok(None);
                }
            }
            self.0.filled.notified().await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock leaves it half done.
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_full(&self) -> bool {
        !self.closed && (self.in_memory >= MEMORY || self.in_files > 0)
    }

    fn spill(&mut self, bytes: &[u8], scratch: &std::path::Path) -> io::Result<()> {
        if self.files.back().is_none_or(|spill| spill.written >= FILE) {
            let file = tempfile::tempfile_in(scratch)?;
            self.files.push_back(Spill { file, written: 0, read: 0 });
        }
        if let Some(spill) = self.files.back_mut() {
            spill.file.write_all_at(bytes, spill.written)?;
            spill.written += bytes.len() as u64;
            self.in_files += bytes.len() as u64;
        }
        Ok(())
    }

    fn take(&mut self) -> io::Result<Option<Bytes>> {
        if let Some(first) = self.memory.pop_front() {
            self.in_memory -= first.len();
            return Ok(Some(self.joined(first)));
        }
        let Some(spill) = self.files.front_mut() else { return Ok(None) };
        let length = usize::try_from(spill.written - spill.read).map_or(TAKEN, |it| it.min(TAKEN));
        let mut bytes = vec![0; length];
        spill.file.read_exact_at(&mut bytes, spill.read)?;
        spill.read += length as u64;
        self.in_files -= length as u64;
        if spill.read == spill.written {
            self.files.pop_front();
        }
        Ok(Some(bytes.into()))
    }

    /// The first block with those behind it: packets are small, and each call has its price.
    fn joined(&mut self, first: Bytes) -> Bytes {
        let fits = |more: &Bytes, length: usize| length + more.len() <= TAKEN;
        if !self.memory.front().is_some_and(|more| fits(more, first.len())) {
            return first;
        }
        let mut all = BytesMut::from(&*first);
        while let Some(more) = self.memory.front().filter(|more| fits(more, all.len())) {
            self.in_memory -= more.len();
            all.extend_from_slice(more);
            self.memory.pop_front();
        }
        all.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inbox() -> (tempfile::TempDir, Inbox) {
        let dir = tempfile::tempdir().unwrap();
        let inbox = Inbox::new(dir.path().to_owned());
        (dir, inbox)
    }

    #[tokio::test]
    async fn what_fits_nowhere_else_goes_through_files_in_order() {
        let (dir, inbox) = inbox();
        let block = |number: u32| number.to_be_bytes().repeat(8 << 10);
        for number in 0..1200 {
            inbox.put(&block(number)).unwrap();
        }
        inbox.end();
        let mut all = Vec::new();
        while let Some(bytes) = inbox.take().await.unwrap() {
            all.extend_from_slice(&bytes);
        }
        assert!(all == (0..1200).flat_map(block).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken_and_sees_the_end() {
        let (_dir, inbox) = inbox();
        let reader = tokio::spawn({
            let inbox = inbox.clone();
            async move { (inbox.take().await.unwrap(), inbox.take().await.unwrap()) }
        });
        tokio::task::yield_now().await;
        inbox.put(b"x").unwrap();
        tokio::task::yield_now().await;
        inbox.end();
        assert_eq!(reader.await.unwrap(), (Some(Bytes::from_static(b"x")), None));
    }

    #[tokio::test]
    async fn a_closed_inbox_swallows_and_holds_nobody_up() {
        let (_dir, inbox) = inbox();
        inbox.put(&vec![0; 4 << 20]).unwrap();
        inbox.close();
        inbox.put(b"late").unwrap();
        inbox.room().await;
        assert_eq!(inbox.take().await.unwrap(), None);
    }

    #[test]
    fn a_disk_that_takes_nothing_is_told() {
        let inbox = Inbox::new("/nowhere/at/all".into());
        inbox.put(&vec![0; MEMORY]).unwrap();
        assert!(inbox.put(b"x").is_err());
    }
}
