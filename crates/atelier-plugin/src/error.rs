//! Why a plugin or an index can't be read.

use std::path::PathBuf;

use atelier_api::{ExitCode, Fault};

use crate::Finding;

/// Why a plugin or an index can't be read.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// There is none.
    #[error("{} has no plugin.yaml", .0.display())]
    Missing(PathBuf),
    /// It can't be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It says what it must not.
    #[error("{}", lines(.0))]
    Invalid(Vec<Finding>),
}

fn lines(findings: &[Finding]) -> String {
    findings.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl PluginError {
    /// What is wrong, when the file could be read.
    #[must_use]
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Invalid(findings) => findings,
            _ => &[],
        }
    }
}

impl Fault for PluginError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "plugin.missing",
            Self::Read { .. } => "plugin.unreadable",
            Self::Invalid(_) => "plugin.invalid",
        }
    }

    fn exit(&self) -> ExitCode {
        ExitCode::InvalidInput
    }

    fn hints(&self) -> Vec<String> {
        match self {
            Self::Missing(_) => vec!["a plugin is a folder with a plugin.yaml".to_owned()],
            Self::Read { .. } => Vec::new(),
            Self::Invalid(findings) => {
                let mut hints: Vec<_> = findings.iter().filter_map(|f| f.hint.clone()).collect();
                hints.dedup();
                hints
            }
        }
    }
}
