//! How fast a sandbox's devices may be, and what they did. Operations are in `sandbox.rs`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How fast a sandbox's devices may be at most. What is absent is not limited. Only virtual machines have
/// devices of their own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Rates {
    /// Bytes that its disk reads and writes in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_bandwidth: Option<u64>,
    /// Requests that its disk takes in a second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_iops: Option<u64>,
    /// Bytes that its network sends in a second, and as many that it receives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_bandwidth: Option<u64>,
}

impl Rates {
    /// Whether nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// These, and where they say nothing the others.
    #[must_use]
    pub fn or(self, below: Self) -> Self {
        Self {
            disk_bandwidth: self.disk_bandwidth.or(below.disk_bandwidth),
            disk_iops: self.disk_iops.or(below.disk_iops),
            network_bandwidth: self.network_bandwidth.or(below.network_bandwidth),
        }
    }
}

/// What a sandbox used at one moment, as seen from outside.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MetricsSample {
    /// When, in seconds since 1970.
    pub at: i64,
    /// Processors it may use.
    pub cpu_count: f64,
    /// Percent of them in use since the sample before.
    pub cpu_percent: f64,
    /// Processor time since it started, in seconds.
    #[serde(default)]
    pub cpu_seconds: f64,
    /// Bytes of memory in use, without page cache.
    pub memory_used: u64,
    /// Bytes of page cache.
    pub memory_cache: u64,
    /// Bytes of memory it may use.
    pub memory_total: u64,
    /// Bytes on its disk.
    pub disk_used: u64,
    /// Bytes its disk can hold.
    pub disk_total: u64,
    /// Bytes sent since it started.
    pub network_sent: u64,
    /// Bytes received since it started.
    pub network_received: u64,
    /// Processes and threads.
    pub processes: u64,
    /// What its devices did, which only a virtual machine's monitor knows. In the newest sample, and in
    /// one of each minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub devices: Option<DeviceCounters>,
}

/// What a virtual machine's devices did since it started, as its monitor counts it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DeviceCounters {
    /// Bytes that it read from its disks.
    pub disk_read: u64,
    /// Bytes that it wrote to its disk.
    pub disk_written: u64,
    /// Requests to read.
    pub disk_reads: u64,
    /// Requests to write.
    pub disk_writes: u64,
    /// How often a disk was held back by its rate; absent where the monitor does not count it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disk_throttled: Option<u64>,
    /// How often the network was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network_throttled: Option<u64>,
}
