//! `system.*`: the control plane itself.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::HostPath;
use crate::operation::operation;

/// An input without fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct Nothing {}

/// How the control plane is.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// The version of the binary.
    pub version: String,
    /// The process.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// The home folder that it serves.
    pub home: HostPath,
    /// Where it listens over TCP, if it does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub listen: Option<String>,
    /// Where web servers inside environments are reached, if they are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ingress: Option<String>,
    /// Where the ingress speaks TLS, if it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<String>,
    /// What stands behind `PORT-ID.` in the host names of sandboxes, with the port if one is needed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    /// Where the SSH server listens that leads into sandboxes, if it does: `host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssh: Option<String>,
    /// Where names of services are answered for, if they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dns: Option<String>,
    /// What names of services end with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
    /// Environments by state.
    pub environments: EnvCounts,
    /// Resident memory of the control plane, in bytes.
    pub memory_bytes: u64,
    /// Changes that are being made now.
    pub jobs: Vec<JobView>,
}

/// How many environments there are.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct EnvCounts {
    /// Of all states.
    pub total: u64,
    /// With a running sandbox.
    pub running: u64,
}

/// A change of several steps that is under way.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Unique for ever.
    pub id: Uuid,
    /// What is being done, such as `env.create`.
    pub kind: String,
    /// To what.
    pub subject: String,
    /// The step it is at.
    pub step: String,
    /// When it began.
    pub started_at: Timestamp,
}

/// Input of [`SystemDoctor`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
pub struct DoctorInput {
    /// Mend what can be mended.
    #[serde(default)]
    pub fix: bool,
}

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// It works, with less than there could be.
    Warning,
    /// It does not work.
    Failed,
    /// It was wrong and is mended.
    Fixed,
}

/// One finding of the doctor.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// What was looked at.
    pub name: String,
    /// How it came out.
    pub verdict: Verdict,
    /// What was seen.
    pub detail: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Whether `--fix` can mend it.
    #[serde(default)]
    pub fixable: bool,
}

/// Input of [`AuditList`].
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditListInput {
    /// How many rows at most, the newest first.
    #[serde(default = "default_limit")]
    pub limit: u32,
}

fn default_limit() -> u32 {
    100
}

/// One row of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AuditRow {
    /// Unique for ever.
    pub id: Uuid,
    /// When it began.
    pub began_at: Timestamp,
    /// When it ended; absent while it goes on, or when the control plane was killed in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ended_at: Option<Timestamp>,
    /// Who: `uid:1000`, or a token's name.
    pub actor: String,
    /// What: an operation's name.
    pub action: String,
    /// To what.
    pub subject: String,
    /// `ok`, or the code of the problem.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<String>,
}

operation! {
    /// Says how the control plane is.
    SystemStatus: "system.status" Get "/status" Read
    (Nothing) -> Status, |_i| String::new()
}
operation! {
    /// Checks this machine and what Atelier keeps on it; mends it when asked.
    SystemDoctor: "system.doctor" Post "/doctor" Change
    (DoctorInput) -> Vec<Check>, |i| if i.fix { "fix".into() } else { String::new() }
}
operation! {
    /// Stops the control plane. Environments go on.
    SystemStop: "system.stop" Post "/stop" Change
    (Nothing) -> Nothing, |_i| String::new()
}
operation! {
    /// Lists who changed what, the newest first.
    AuditList: "audit.list" Get "/audit" Read
    (AuditListInput) -> Vec<AuditRow>, |_i| String::new()
}
