//! What a group used, in the words of either version of the kernel's interface.

use std::fs;
use std::path::Path;

use super::{Cgroup, v2};

/// What the processes of a group used. Zero where nobody counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Processor time since the group was made, in microseconds.
    pub cpu_micros: u64,
    /// Bytes of memory, page cache included.
    pub memory: u64,
    /// Bytes of page cache.
    pub cache: u64,
    /// Processes and threads.
    pub processes: u64,
}

impl Cgroup {
    /// What was used so far.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let mut usage = Usage::default();
        for dir in &self.dirs {
            let cpu = v2::keyed(&dir.join("cpu.stat"), "usage_usec");
            let nanos = number(&dir.join("cpuacct.usage"));
            usage.cpu_micros = usage.cpu_micros.max(cpu.or(nanos.map(|n| n / 1000)).unwrap_or(0));
            let memory = number(&dir.join("memory.current"));
            let memory = memory.or_else(|| number(&dir.join("memory.usage_in_bytes")));
            usage.memory = usage.memory.max(memory.unwrap_or(0));
            let stat = dir.join("memory.stat");
            let cache = v2::keyed(&stat, "file").or_else(|| v2::keyed(&stat, "cache"));
            usage.cache = usage.cache.max(cache.unwrap_or(0));
            usage.processes = usage.processes.max(number(&dir.join("pids.current")).unwrap_or(0));
        }
        usage
    }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}
