//! The one place of this crate that spawns processes of others.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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

/// Whether a program ends well within some time. What takes longer is killed.
pub(crate) fn succeeds_within(mut command: Command, limit: Duration) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let Ok(mut child) = command.spawn() else { return false };
    let begun = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if begun.elapsed() < limit => std::thread::sleep(Duration::from_millis(5)),
            _ => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_too_long_has_failed_and_is_gone() {
        let sh = |script: &str| {
            let mut command = Command::new("sh");
            command.args(["-c", script]);
            command
        };
        assert!(succeeds_within(sh("exit 0"), Duration::from_secs(30)));
        assert!(!succeeds_within(sh("exit 3"), Duration::from_secs(30)));
        assert!(!succeeds_within(sh("exec sleep 1000"), Duration::from_millis(50)));
        assert!(!succeeds_within(Command::new("/no/such/program"), Duration::from_secs(30)));
    }
}
