//! The one place of this crate that spawns processes of others.

use std::io::Read;
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

/// What a program says, on both outputs, within some time; one that takes longer is killed. How it ends
/// does not matter: not every program ends well when it is asked for help.
pub(crate) fn said_within(mut command: Command, limit: Duration) -> Option<String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().ok()?;
    let outputs: [Option<Box<dyn Read + Send>>; 2] = [
        child.stdout.take().map(|output| Box::new(output) as Box<dyn Read + Send>),
        child.stderr.take().map(|output| Box::new(output) as Box<dyn Read + Send>),
    ];
    let readers: Vec<_> = outputs
        .into_iter()
        .flatten()
        .map(|mut output| {
            std::thread::spawn(move || {
                let mut said = String::new();
                let _ = output.read_to_string(&mut said);
                said
            })
        })
        .collect();
    let begun = Instant::now();
    while child.try_wait().ok()?.is_none() {
        if begun.elapsed() > limit {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    readers.into_iter().map(|reader| reader.join().ok()).collect()
}

/// What a program says within some time, without holding a thread: its output when it ends well, and
/// else what it said went wrong.
pub(crate) async fn said(
    mut command: tokio::process::Command,
    limit: Duration,
) -> Result<String, String> {
    command.stdin(Stdio::null()).kill_on_drop(true);
    let done = match tokio::time::timeout(limit, command.output()).await {
        Err(_) => return Err(format!("it does not end within {} seconds", limit.as_secs())),
        Ok(done) => done.map_err(|error| format!("it can't be run: {error}"))?,
    };
    let said = if done.status.success() { &done.stdout } else { &done.stderr };
    let said = String::from_utf8_lossy(said).into_owned();
    if done.status.success() { Ok(said) } else { Err(said) }
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
