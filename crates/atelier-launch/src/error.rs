//! Why a launch failed: the step, the path, the kernel's word, and what to do next.

use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::wire;

/// What this crate's functions return.
pub type Result<T> = std::result::Result<T, LaunchError>;

/// A launch that failed. It travels from PID 1 to the launcher and on to the control plane.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchError {
    /// What was being done, in words that follow "cannot".
    pub step: String,
    /// The file or directory that it was done to.
    #[serde(with = "wire::maybe_path")]
    pub path: Option<PathBuf>,
    /// The kernel's error number; 0 when it was not the kernel that refused.
    pub errno: i32,
    /// Why, in words.
    pub why: String,
    /// What to do next, a sentence each.
    pub hints: Vec<String>,
}

impl std::fmt::Display for LaunchError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "cannot {}", self.step)?;
        if let Some(path) = &self.path {
            write!(f, " {}", path.display())?;
        }
        write!(f, ": {}", self.why)
    }
}

impl std::error::Error for LaunchError {}

impl LaunchError {
    /// A refusal that is ours.
    #[must_use]
    pub fn new(step: &str, why: impl Into<String>) -> Self {
        Self { step: step.into(), path: None, errno: 0, why: why.into(), hints: Vec::new() }
    }

    /// A failed call.
    #[must_use]
    pub fn io(step: &str, path: Option<&Path>, error: &io::Error) -> Self {
        let errno = error.raw_os_error().unwrap_or(0);
        let why = match errno {
            0 => error.to_string(),
            _ => nix::errno::Errno::from_raw(errno).desc().to_owned(),
        };
        Self { step: step.into(), path: path.map(Path::to_owned), errno, why, hints: Vec::new() }
    }

    /// The same with what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// A stable name that programs may match on.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self.errno {
            0 => "launch.refused",
            libc::EPERM | libc::EACCES => "launch.not_permitted",
            libc::ENOSPC | libc::EDQUOT => "launch.no_space",
            _ => "launch.failed",
        }
    }
}

/// Names the step that an I/O error belongs to.
pub trait At<T> {
    /// The error belongs to this step.
    fn step(self, step: &str) -> Result<T>;
    /// The error belongs to this step and path.
    fn at(self, step: &str, path: &Path) -> Result<T>;
}

impl<T, E: Into<io::Error>> At<T> for std::result::Result<T, E> {
    fn step(self, step: &str) -> Result<T> {
        self.map_err(|error| LaunchError::io(step, None, &error.into()))
    }

    fn at(self, step: &str, path: &Path) -> Result<T> {
        self.map_err(|error| LaunchError::io(step, Some(path), &error.into()))
    }
}
