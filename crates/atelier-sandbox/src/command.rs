//! The one place of this crate that spawns processes of others.

use std::process::{Command, Stdio};

use crate::SandboxError;

/// Runs a helper program to its end; its error output becomes the error.
///
/// # Errors
/// [`SandboxError::Start`] when it is missing or fails.
pub(crate) fn run(mut command: Command) -> Result<(), SandboxError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let fail = |reason: String, remedy: Option<String>| SandboxError::Start {
        runtime: "host",
        reason,
        remedy,
    };
    let output = command.stdin(Stdio::null()).output().map_err(|e| {
        fail(format!("{program} can't be run: {e}"), Some(format!("install {program}")))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(fail(format!("{program} failed: {}", said.trim()), None))
}
