//! How fast a machine may be at most, in the buckets that Firecracker counts by, and what its devices did,
//! as Firecracker counts it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use atelier_api::sandbox::{DeviceCounters, Rates};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::api::{Limiter, NetworkInterface, TokenBucket};
use super::{Api, METRICS};
use crate::VmError;
use crate::error::Result;

/// The most that is read at once: a line has some thousand bytes.
const MOST: u64 = 4 << 20;

impl Api {
    /// Holds a machine that has started to these rates, whatever it was held to before: each of its disks,
    /// and each direction of its link.
    ///
    /// # Errors
    /// As [`Self::info`].
    pub async fn hold_to(&self, rates: &Rates) -> Result<()> {
        let disks = Limiter {
            bandwidth: Some(bucket(rates.disk_bandwidth)),
            ops: Some(bucket(rates.disk_iops)),
        };
        for disk in ["base", "layer"] {
            self.limit_drive(disk, disks).await?;
        }
        let link = Limiter { bandwidth: Some(bucket(rates.network_bandwidth)), ops: None };
        self.limit_network(&NetworkInterface::wire().iface_id, link, link).await
    }
}

/// A bucket that holds nothing and never fills is no limit.
fn bucket(rate: Option<u64>) -> TokenBucket {
    let none = TokenBucket { size: 0, one_time_burst: None, refill_time: 0 };
    rate.map_or(none, TokenBucket::per_second)
}

/// Reads what a monitor writes as its metrics. Each line there holds what was counted since the one before,
/// so the sums are kept beside, with how far they go.
#[derive(Debug, Clone)]
pub struct Meter {
    lines: PathBuf,
    sums: PathBuf,
}

/// What was read so far.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Sums {
    read: u64,
    counters: DeviceCounters,
}

impl Meter {
    /// The meter of the monitor that runs in `dir`; the sums are kept in the file `sums`, where the monitor
    /// does not reach.
    #[must_use]
    pub fn new(dir: &Path, sums: PathBuf) -> Self {
        Self { lines: dir.join(METRICS), sums }
    }

    /// Forgets what an earlier monitor counted.
    pub fn reset(&self) {
        drop(std::fs::remove_file(&self.sums));
    }

    /// All that was counted since the machine started. What is read takes no room on the disk any more.
    ///
    /// # Errors
    /// When the monitor's file can't be read, or the sums can't be written.
    pub fn read(&self) -> Result<DeviceCounters> {
        let kept = std::fs::read(&self.sums).unwrap_or_default();
        let mut sums: Sums = serde_json::from_slice(&kept).unwrap_or_default();
        let (mut lines, text) =
            self.lines_from(sums.read).map_err(VmError::io("reading", &self.lines))?;
        // One that is being written is read the next time.
        let Some(end) = text.iter().rposition(|byte| *byte == b'\n') else {
            return Ok(sums.counters);
        };
        for line in text.get(..end).unwrap_or_default().split(|byte| *byte == b'\n') {
            if let Ok(line) = serde_json::from_slice(line) {
                add(&mut sums.counters, &line);
            }
        }
        sums.read += end as u64 + 1;
        let json = serde_json::to_vec(&sums).unwrap_or_default();
        let fresh = self.sums.with_extension("new");
        std::fs::write(&fresh, json)
            .and_then(|()| std::fs::rename(&fresh, &self.sums))
            .map_err(VmError::io("writing", &self.sums))?;
        forget(&mut lines, sums.read);
        Ok(sums.counters)
    }

    /// What lies in the monitor's folder is its own choice: no link is followed, and nothing is waited for.
    fn lines_from(&self, at: u64) -> io::Result<(File, Vec<u8>)> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK);
        let mut file = options.open(&self.lines)?;
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no file"));
        }
        file.seek(SeekFrom::Start(at))?;
        let mut text = Vec::new();
        (&mut file).take(MOST).read_to_end(&mut text)?;
        Ok((file, text))
    }
}

/// The monitor goes on at its own place in the file, so that the file only loses its beginning.
fn forget(file: &mut File, until: u64) {
    let mode = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
    // SAFETY: the descriptor is open, and no pointers are passed. Where it can't be done the file grows.
    let _ = unsafe { libc::fallocate(file.as_raw_fd(), mode, 0, until.cast_signed()) };
}

/// Adds what a line counts. Releases name more than these, and may have fewer.
fn add(counters: &mut DeviceCounters, line: &Value) {
    let count = |device: &str, name: &str| line[device][name].as_u64().unwrap_or(0);
    counters.disk_read += count("block", "read_bytes");
    counters.disk_written += count("block", "write_bytes");
    counters.disk_reads += count("block", "read_count");
    counters.disk_writes += count("block", "write_count");
    let throttled = counters.disk_throttled.get_or_insert_default();
    *throttled += count("block", "rate_limiter_throttled_events");
    let throttled = counters.network_throttled.get_or_insert_default();
    *throttled +=
        count("net", "rx_rate_limiter_throttled") + count("net", "tx_rate_limiter_throttled");
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::os::unix::fs::MetadataExt as _;

    use super::*;

    fn line(bytes: u64, throttled: u64) -> String {
        let block = serde_json::json!({
            "read_bytes": bytes, "write_bytes": 2 * bytes, "read_count": 1, "write_count": 2,
            "rate_limiter_throttled_events": throttled,
        });
        let net =
            serde_json::json!({ "rx_rate_limiter_throttled": 1, "tx_rate_limiter_throttled": 2 });
        format!("{}\n", serde_json::json!({ "utc_timestamp_ms": 1, "block": block, "net": net }))
    }

    #[test]
    fn lines_are_summed_once_and_what_was_read_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let meter = Meter::new(dir.path(), dir.path().join("sums"));
        let mut lines = File::create(dir.path().join(METRICS)).unwrap();
        lines.write_all((0..2000).map(|_| line(10, 3)).collect::<String>().as_bytes()).unwrap();
        let half = line(10, 0);
        lines.write_all(&half.as_bytes()[..40]).unwrap();
        let first = meter.read().unwrap();
        assert_eq!(
            (first.disk_read, first.disk_written, first.disk_writes),
            (20_000, 40_000, 4000)
        );
        assert_eq!((first.disk_throttled, first.network_throttled), (Some(6000), Some(6000)));
        assert_eq!(meter.read().unwrap(), first);
        lines.write_all(&half.as_bytes()[40..]).unwrap();
        assert_eq!(meter.read().unwrap().disk_read, 20_010);
        let meta = lines.metadata().unwrap();
        assert!(meta.blocks() * 512 < meta.len() / 10, "{} of {}", meta.blocks(), meta.len());
        meter.reset();
        assert_eq!(meter.read().unwrap(), DeviceCounters::default(), "its beginning is gone");
    }

    #[test]
    fn a_link_that_a_monitor_left_is_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        std::fs::write(&secret, line(1, 1)).unwrap();
        std::os::unix::fs::symlink(&secret, dir.path().join(METRICS)).unwrap();
        let meter = Meter::new(dir.path(), dir.path().join("sums"));
        assert!(meter.read().unwrap_err().to_string().contains("metrics"));
        assert_eq!(std::fs::read_to_string(&secret).unwrap(), line(1, 1));
    }

    #[test]
    fn a_rate_is_a_bucket_that_fills_within_a_second() {
        let json = serde_json::to_value([bucket(Some(1 << 20)), bucket(None)]).unwrap();
        let want = serde_json::json!([
            { "size": 1 << 20, "refill_time": 1000 }, { "size": 0, "refill_time": 0 },
        ]);
        assert_eq!(json, want);
    }
}
