//! What is known of a build, in memory and on disk.

use atelier_api::env::Resources;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// `TemplateBuildStatus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Status {
    /// Asked for; its steps are not known yet.
    Waiting,
    Building,
    Ready,
    Error,
}

/// Why a build failed.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Reason {
    pub(crate) message: String,
    /// `base`, the number of a step, or `finalize`: clients find the line of their program by it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
}

/// One build.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: Uuid,
    /// The template's name without a tag.
    pub(crate) template: String,
    pub(crate) tags: Vec<String>,
    pub(crate) cpu_count: Option<u32>,
    pub(crate) memory_mb: Option<u64>,
    pub(crate) status: Status,
    pub(crate) reason: Option<Reason>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) finished_at: Option<Timestamp>,
}

impl Record {
    /// A build that was asked for.
    pub(crate) fn new(
        template: String,
        tags: Vec<String>,
        cpu_count: Option<u32>,
        memory_mb: Option<u64>,
    ) -> Self {
        let now = Timestamp::now();
        Self {
            id: Uuid::now_v7(),
            template,
            tags,
            cpu_count,
            memory_mb,
            status: Status::Waiting,
            reason: None,
            created_at: now,
            updated_at: now,
            finished_at: None,
        }
    }

    /// What its sandboxes may use.
    pub(crate) fn resources(&self) -> Resources {
        Resources {
            cpus: self.cpu_count.map(f64::from),
            memory: self.memory_mb.map(|mb| mb << 20),
            ..Resources::default()
        }
    }

    pub(super) fn end(&mut self, failed: Option<Reason>) {
        let now = Timestamp::now();
        self.status = if failed.is_some() { Status::Error } else { Status::Ready };
        self.reason = failed;
        self.updated_at = now;
        self.finished_at = Some(now);
    }
}
