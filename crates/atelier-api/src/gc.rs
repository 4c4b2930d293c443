//! `system.gc`: what is old and nobody needs.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::operation::operation;
use crate::{HostPath, Name};

/// Input of [`SystemGc`]. An environment goes when any of the reasons holds; without one only leftovers go.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct GcInput {
    /// Environments that nobody used for so many seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub older_than: Option<u64>,
    /// Environments whose branch is merged or deleted in the project's repository.
    pub merged: bool,
    /// Those that were used longest ago, until so much of the home's disk is free.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free: Option<Free>,
    /// Also with changes that were not applied.
    pub force: bool,
    /// Only say what would go.
    pub dry_run: bool,
}

/// How much of a disk shall be free.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Free {
    /// So many hundredths of it.
    Percent(u8),
    /// So many bytes.
    Bytes(u64),
}

/// An environment that goes.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GcEnvironment {
    /// Its name.
    pub name: Name,
    /// Its project's name.
    pub project: String,
    /// Its project's folder.
    pub root: HostPath,
    /// Why it goes.
    pub reason: String,
    /// When it was used last.
    pub last_used: Timestamp,
    /// Bytes that it holds on disk of its own; volumes of its services are not counted.
    pub disk_bytes: u64,
}

/// An environment for whose going there is a reason, and one against it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GcKept {
    /// Its name.
    pub name: Name,
    /// Its project's name.
    pub project: String,
    /// Why it would go.
    pub reason: String,
    /// Why it stays.
    pub why: String,
}

/// What [`SystemGc`] removed, or would.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct GcReport {
    /// Environments, those that were used longest ago first.
    pub environments: Vec<GcEnvironment>,
    /// Environments that stay.
    pub kept: Vec<GcKept>,
    /// Leftovers that belong to nobody, a sentence each.
    pub leftovers: Vec<String>,
    /// Bytes of environments that were freed, or would be.
    pub freed_bytes: u64,
}

operation! {
    /// Removes environments that are old, arrived or in the way, and what nobody needs.
    SystemGc: "system.gc" Post "/gc" Change
    (GcInput) -> GcReport, |_i| String::new()
}
