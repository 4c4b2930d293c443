//! What sandboxes used, over time: seen from outside, by control groups, disks and networks.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use atelier_api::Problem;
use atelier_api::sandbox::{MetricsSample, Sandbox, SandboxMetricsInput, SandboxState};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::record::Record;
use super::{Entry, Fleet};
use crate::cgroup::Usage;
use crate::{Live, Root};

/// How often a sample is taken.
const EVERY: Duration = Duration::from_secs(5);
/// How many are kept: an hour.
const KEPT: usize = 720;
/// A monitor that counts by itself tells each minute: every so many samples.
const DEVICES_EVERY: u64 = 12;
/// One that is busy with something else is not waited for.
const DEVICES_LIMIT: Duration = Duration::from_secs(3);
/// A disk's use is counted file by file where it has no filesystem of its own: only so often.
const DISK_EVERY: i64 = 60;

impl Fleet {
    /// Takes samples of what runs until `stop`.
    pub async fn sample(self: Arc<Self>, stop: CancellationToken) {
        for tick in 1_u64.. {
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = stop.cancelled() => return,
            }
            let running = self.all().into_iter().filter_map(|e| Some((self.live(e.id)?, e)));
            let running: Vec<_> = running.collect();
            if running.is_empty() {
                continue;
            }
            let (fleet, all) = (self.clone(), running.clone());
            let look = move || all.iter().for_each(|(live, entry)| fleet.take(entry, live));
            let _ = tokio::task::spawn_blocking(look).await;
            if tick.is_multiple_of(DEVICES_EVERY) {
                for (live, entry) in &running {
                    self.take_devices(entry, live, false).await;
                }
            }
        }
    }

    /// Gives what a sandbox used; with nothing sampled yet, what it uses now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn metrics(&self, input: SandboxMetricsInput) -> Result<Vec<MetricsSample>, Problem> {
        let (fleet, entry) = (self.me()?, self.find(&input.sandbox)?);
        let live = self.live(entry.id);
        let none = samples(&entry).is_empty();
        if let (true, Some(live)) = (none, live.clone()) {
            let entry = entry.clone();
            let _ = tokio::task::spawn_blocking(move || fleet.take(&entry, &live)).await;
        }
        if let Some(live) = live {
            self.take_devices(&entry, &live, true).await;
        }
        let since = input.since.map_or(i64::MIN, Timestamp::as_second);
        let until = input.until.map_or(i64::MAX, Timestamp::as_second);
        let all = samples(&entry);
        Ok(all.iter().filter(|s| (since..=until).contains(&s.at)).cloned().collect())
    }

    /// What each sandbox that runs used at its newest sample.
    #[must_use]
    pub fn newest_samples(&self) -> Vec<(Sandbox, MetricsSample)> {
        let running = self.all().into_iter().filter(|entry| self.live(entry.id).is_some());
        let newest = |entry: Arc<Entry>| {
            let sample = samples(&entry).back().cloned()?;
            Some((self.view(&entry.record()), sample))
        };
        running.filter_map(newest).collect()
    }

    /// Adds to the newest sample what only a monitor knows, `now` or as far as it has told by itself.
    async fn take_devices(&self, entry: &Entry, live: &Live, now: bool) {
        let record = entry.record();
        let Ok(runtime) = self.runtime(&record) else { return };
        if record.state != SandboxState::Running || !runtime.capabilities().own_kernel {
            return;
        }
        let ask = async |target: crate::Target<'_>| Ok(runtime.devices(target, now).await?);
        let asked = self.with_target(&record, live, ask);
        match tokio::time::timeout(DEVICES_LIMIT, asked).await {
            Ok(Ok(devices)) => {
                if let (Some(newest), Some(_)) = (samples(entry).back_mut(), devices) {
                    newest.devices = devices;
                }
            }
            Ok(Err(problem)) => {
                tracing::debug!(sandbox = %record.public_id(), why = problem.detail, "its monitor does not tell");
            }
            Err(_) => {}
        }
    }

    fn take(&self, entry: &Entry, live: &Live) {
        let record = entry.record();
        if record.state != SandboxState::Running {
            return;
        }
        let now = Timestamp::now();
        let usage = live.running.cgroup.usage();
        let last = samples(entry).back().cloned();
        let (disk_used, disk_total) = self.disk(&record, last.as_ref(), now.as_second());
        let network = atelier_net::control::counters(&self.sandboxes.folders(entry.id).network());
        let network = network.unwrap_or_default();
        let cpus = record.options.resources.cpus.unwrap_or_else(host_cpus);
        let sample = MetricsSample {
            at: now.as_second(),
            cpu_count: cpus,
            cpu_percent: entry.cpu_percent(&usage, now, cpus),
            cpu_seconds: Duration::from_micros(usage.cpu_micros).as_secs_f64(),
            memory_used: usage.memory.saturating_sub(usage.cache),
            memory_cache: usage.cache,
            memory_total: record.options.resources.memory.unwrap_or_else(host_memory),
            disk_used,
            disk_total,
            network_sent: network.sent,
            network_received: network.received,
            processes: usage.processes,
            devices: None,
        };
        let mut all = samples(entry);
        all.push_back(sample);
        while all.len() > KEPT {
            all.pop_front();
        }
    }

    fn disk(&self, record: &Record, last: Option<&MetricsSample>, now: i64) -> (u64, u64) {
        let folders = self.sandboxes.folders(record.id);
        let machine = self.runtime(record).is_ok_and(|it| it.capabilities().own_kernel);
        if let (true, Some(size)) = (machine, record.options.resources.disk) {
            let layer = std::fs::metadata(folders.root().join(atelier_vm::firecracker::LAYER));
            return (layer.map_or(0, |meta| meta.blocks() * 512), size);
        }
        let layers = folders.layers(&record.options.resources);
        let total = filesystem(&layers);
        if record.options.resources.disk.is_some() && record.root != Root::Machine {
            return total.map_or((0, 0), |(used, size)| (used, size));
        }
        // Once a minute: the files have to be gone through.
        let fresh = last.filter(|last| last.disk_used > 0 && now % DISK_EVERY >= 5);
        let used = fresh.map_or_else(|| disk_usage(folders.root()), |last| last.disk_used);
        (used, total.map_or(0, |(_, size)| size))
    }
}

impl Entry {
    /// Percent of its processors since the last call.
    #[allow(clippy::cast_precision_loss)]
    fn cpu_percent(&self, usage: &Usage, now: Timestamp, cpus: f64) -> f64 {
        let mut before = self.cpu.lock().unwrap_or_else(PoisonError::into_inner);
        let (then, micros) = before.replace((now, usage.cpu_micros)).unwrap_or((now, 0));
        let wall = now.duration_since(then).as_micros();
        if wall <= 0 || cpus <= 0.0 {
            return 0.0;
        }
        let used = usage.cpu_micros.saturating_sub(micros) as f64;
        (used / wall as f64 * 100.0 / cpus).clamp(0.0, 100.0)
    }
}

fn samples(entry: &Entry) -> std::sync::MutexGuard<'_, std::collections::VecDeque<MetricsSample>> {
    entry.samples.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Used and all bytes of the filesystem that a folder lies in.
fn filesystem(folder: &Path) -> Option<(u64, u64)> {
    let stat = nix::sys::statvfs::statvfs(folder).ok()?;
    let unit = stat.fragment_size();
    let size = stat.blocks() * unit;
    Some((size - stat.blocks_free() * unit, size))
}

/// Bytes that a folder holds on disk; none for one that can't be read.
pub(super) fn disk_usage(folder: &Path) -> u64 {
    atelier_files::disk_usage(folder).unwrap_or_default()
}

#[allow(clippy::cast_precision_loss)]
fn host_cpus() -> f64 {
    std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64)
}

fn host_memory() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|l| l.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}
