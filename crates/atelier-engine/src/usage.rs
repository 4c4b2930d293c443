//! What a container uses.

use bollard::query_parameters::StatsOptionsBuilder;
use futures_util::StreamExt;

use crate::connect::Engine;
use crate::error::{Doing, EngineError, status};

/// What a container uses at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Memory in bytes, without files that the kernel may forget.
    pub memory: u64,
    /// Processor time since its start, in nanoseconds.
    pub cpu_nanoseconds: u64,
}

impl Engine {
    /// What a container uses now; nothing of one that has gone.
    ///
    /// # Errors
    /// [`EngineError::Refused`].
    pub async fn usage(&self, id: &str) -> Result<Option<Usage>, EngineError> {
        let options = StatsOptionsBuilder::new().stream(false).one_shot(true).build();
        let Some(seen) = self.docker.stats(id, Some(options)).next().await else { return Ok(None) };
        let stats = match seen {
            Err(error) if status(&error) == Some(404) => return Ok(None),
            seen => seen.doing(|| format!("measure the container {id}"))?,
        };
        let memory = stats.memory_stats.unwrap_or_default();
        let parts = memory.stats.unwrap_or_default();
        // As `docker stats` counts: control groups of version 2, then of version 1.
        let files = ["inactive_file", "total_inactive_file"].iter().find_map(|key| parts.get(*key));
        let cpu = stats.cpu_stats.and_then(|cpu| cpu.cpu_usage).and_then(|usage| usage.total_usage);
        Ok(Some(Usage {
            memory: memory
                .usage
                .unwrap_or_default()
                .saturating_sub(files.copied().unwrap_or_default()),
            cpu_nanoseconds: cpu.unwrap_or_default(),
        }))
    }
}
