//! What one image may take: bytes, entries, the ratio of its compression, the free disk.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::{Decoder, LayerError};
use crate::Limits;

/// How often the free space is looked at, in bytes.
const LOOK: u64 = 64 << 20;

/// What is left for all layers of an image together.
#[derive(Debug)]
pub(crate) struct Budget {
    limits: Limits,
    bytes: AtomicU64,
    entries: AtomicU64,
    cancelled: AtomicBool,
    /// On which filesystem things are written.
    place: PathBuf,
}

impl Budget {
    pub(crate) fn new(limits: Limits, place: &Path) -> Arc<Self> {
        Arc::new(Self {
            limits,
            bytes: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            cancelled: AtomicBool::new(false),
            place: place.to_owned(),
        })
    }

    /// Counts an entry.
    pub(crate) fn entry(&self) -> Result<(), LayerError> {
        if self.entries.fetch_add(1, Ordering::Relaxed) >= self.limits.entries {
            let most = self.limits.entries;
            return Err(LayerError::TooLarge(format!("more than {most} entries")));
        }
        Ok(())
    }

    /// Whether an entry of `bytes` has a place at all: a bomb that says how large it is goes before
    /// it is unpacked.
    pub(crate) fn announced(&self, bytes: u64) -> Result<(), LayerError> {
        let most = self.limits.bytes.saturating_sub(self.bytes.load(Ordering::Relaxed));
        if bytes > most {
            return Err(LayerError::TooLarge(format!(
                "a file of {bytes} bytes where {most} are left"
            )));
        }
        if bytes < LOOK { Ok(()) } else { self.space(bytes) }
    }

    /// Counts bytes.
    pub(crate) fn bytes(&self, bytes: u64) -> Result<(), LayerError> {
        if self.cancelled.load(Ordering::Relaxed) {
            return Err(LayerError::Interrupted);
        }
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        let after = before.saturating_add(bytes);
        if after > self.limits.bytes {
            let most = self.limits.bytes;
            return Err(LayerError::TooLarge(format!("more than {most} bytes unpacked")));
        }
        if before / LOOK != after / LOOK || before == 0 {
            self.space(0)?;
        }
        Ok(())
    }

    /// Whether `bytes` more fit on the disk and leave enough free.
    pub(crate) fn space(&self, bytes: u64) -> Result<(), LayerError> {
        match rustix::fs::statvfs(&self.place) {
            Ok(stat)
                if stat.f_bavail.saturating_mul(stat.f_frsize)
                    < bytes.saturating_add(self.limits.keep_free) =>
            {
                Err(LayerError::NoSpace)
            }
            _ => Ok(()),
        }
    }

    fn ratio(&self, compressed: u64, plain: u64) -> Result<(), LayerError> {
        let Limits { ratio, ratio_from, .. } = self.limits;
        if plain > ratio_from && plain / ratio > compressed {
            return Err(LayerError::TooLarge(format!(
                "{compressed} bytes unpack to more than {plain}"
            )));
        }
        Ok(())
    }
}

/// Ends the work of a budget when whoever waits for it goes away.
pub(crate) struct CancelOnDrop(pub Arc<Budget>);

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.cancelled.store(true, Ordering::Relaxed);
    }
}

/// Counts what is read.
pub(crate) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// A decompressed stream that stays within its budget.
pub(crate) struct Metered<'a, R: Read> {
    inner: Decoder<Counted<R>>,
    compressed: Arc<AtomicU64>,
    plain: u64,
    budget: &'a Budget,
}

impl<'a, R: Read> Metered<'a, R> {
    /// Decompresses `source`, whatever its compression is.
    pub(crate) fn decoder(source: R, budget: &'a Budget) -> Result<Self, LayerError> {
        let compressed = Arc::new(AtomicU64::new(0));
        let counted = Counted { inner: source, count: Arc::clone(&compressed) };
        let inner = Decoder::new(counted).map_err(LayerError::from_io)?;
        Ok(Self { inner, compressed, plain: 0, budget })
    }

    fn count(&mut self, n: u64) -> Result<(), LayerError> {
        self.plain += n;
        self.budget.bytes(n)?;
        self.budget.ratio(self.compressed.load(Ordering::Relaxed), self.plain)
    }
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buffer)?;
        self.count(n as u64).map_err(io::Error::other)?;
        Ok(n)
    }
}
