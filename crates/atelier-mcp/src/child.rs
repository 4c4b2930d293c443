//! The program of a server: a process group of its own, which ends whole, and the last of what it says.

use std::collections::VecDeque;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};
use tokio::io::AsyncReadExt;
use tokio::process::{ChildStderr, ChildStdin, ChildStdout, Command};

use crate::error::{McpError, Result};
use crate::limits::Limits;
use crate::mask::Masks;
use crate::target::Target;

/// How much of standard error is kept.
const KEPT_LINES: usize = 12;
const KEPT_BYTES: usize = 2048;

/// How often an ending program is looked at.
const TICK: Duration = Duration::from_millis(10);

/// A running program. Dropping it ends it, with all that it started in its group.
pub(crate) struct Child {
    process: tokio::process::Child,
    group: Option<Pid>,
    said: Tail,
    grace: Duration,
}

/// Both ends of its conversation.
pub(crate) struct Pipes {
    pub(crate) input: ChildStdin,
    pub(crate) output: ChildStdout,
}

/// Starts the program of a target.
pub(crate) fn start(target: &Target, limits: &Limits, masks: &Masks) -> Result<(Child, Pipes)> {
    let Target::Stdio { command, args, env, cwd } = target else {
        return Err(McpError::Target { why: "it is no program".into() });
    };
    let failed = |source| McpError::Start { program: command.clone(), source };
    let mut ready = Command::new(command);
    ready.args(args).envs(env).process_group(0);
    ready.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = cwd {
        ready.current_dir(cwd);
    }
    let mut process = ready.spawn().map_err(failed)?;
    let group = process.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let said = Tail { kept: Arc::default(), masks: masks.clone() };
    let (input, output, errors) =
        (process.stdin.take(), process.stdout.take(), process.stderr.take());
    let child = Child { process, group, said: said.clone(), grace: limits.close };
    match (input, output, errors) {
        (Some(input), Some(output), Some(errors)) => {
            tokio::spawn(said.read(errors));
            Ok((child, Pipes { input, output }))
        }
        _ => Err(failed(std::io::Error::other("it has no pipes"))),
    }
}

impl Child {
    /// What it said last on standard error.
    pub(crate) fn said(&self) -> Tail {
        self.said.clone()
    }

    /// How it ended, if it does so within the time.
    pub(crate) async fn ended(&mut self, within: Duration) -> Option<String> {
        let until = Instant::now() + within;
        while Instant::now() < until {
            if self.has_ended() {
                // The leader is left unreaped, so that its number stays that of our group.
                return Some(self.how());
            }
            tokio::time::sleep(TICK).await;
        }
        None
    }

    /// Asks it to end, and makes it.
    pub(crate) async fn end(mut self) {
        // Its input is closed by now, which is how a server is told to end.
        let patience = self.grace / 2;
        if self.ended(patience).await.is_none() {
            self.signal(Signal::TERM);
            self.ended(self.grace).await;
        }
        self.signal(Signal::KILL);
        self.group = None;
        let _ = self.process.wait().await;
    }

    fn has_ended(&self) -> bool {
        self.status().is_none_or(|status| status.is_some())
    }

    /// The leader's end, without reaping it; the outer none where it cannot be asked.
    fn status(&self) -> Option<Option<ExitStatus>> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let found = waitid(WaitId::Pid(self.group?), options).ok()?;
        Some(found.map(|status| match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => ExitStatus::from_raw(code << 8),
            (_, signal) => ExitStatus::from_raw(signal.unwrap_or_default()),
        }))
    }

    fn how(&self) -> String {
        match self.status().flatten() {
            Some(status) => status.to_string(),
            None => "its end is not known".into(),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Nobody left to hear it is no failure.
            let _ = kill_process_group(group, signal);
        }
    }
}

impl Drop for Child {
    /// When the conversation is cancelled. Waits for as long as the program is given to end, because
    /// nobody is there to make it afterwards.
    fn drop(&mut self) {
        if self.group.is_none() {
            return;
        }
        self.signal(Signal::TERM);
        let until = Instant::now() + self.grace;
        while !self.has_ended() && Instant::now() < until {
            std::thread::sleep(TICK);
        }
        self.signal(Signal::KILL);
        let _ = self.process.try_wait();
    }
}

/// The last lines of a stream.
#[derive(Clone)]
pub(crate) struct Tail {
    kept: Arc<Mutex<VecDeque<u8>>>,
    masks: Masks,
}

impl Tail {
    async fn read(self, mut from: ChildStderr) {
        let mut chunk = [0; 4096];
        while let Ok(count @ 1..) = from.read(&mut chunk).await {
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.extend(&chunk[..count]);
            // More than is shown, so that a secret at its beginning is masked as a whole.
            let over = kept.len().saturating_sub(4 * KEPT_BYTES);
            kept.drain(..over);
        }
    }

    /// They, without secrets.
    pub(crate) fn text(&self) -> String {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let text = self.masks.clean(&String::from_utf8_lossy(kept.make_contiguous()));
        drop(kept);
        last_lines(&text)
    }

    /// They, once what was written before has arrived.
    pub(crate) async fn settled(&self) -> String {
        tokio::time::sleep(5 * TICK).await;
        self.text()
    }
}

fn last_lines(text: &str) -> String {
    let lines: Vec<_> = text.lines().map(str::trim_end).filter(|l| !l.is_empty()).collect();
    let shown = lines[lines.len().saturating_sub(KEPT_LINES)..].join("\n");
    let mut from = shown.len().saturating_sub(KEPT_BYTES);
    while !shown.is_char_boundary(from) {
        from += 1;
    }
    shown[from..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Target {
        Target::program("sh", ["-c", script])
    }

    fn alive(pid: &str) -> bool {
        // A zombie that nobody of ours can reap counts as gone.
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim()));
        stat.is_ok_and(|stat| !stat.contains(") Z "))
    }

    /// A kill is heard a moment after it is said.
    async fn gone(pid: &str) -> bool {
        for _ in 0..1000 {
            if !alive(pid) {
                return true;
            }
            tokio::time::sleep(TICK).await;
        }
        false
    }

    async fn pid_in(file: &std::path::Path) -> String {
        loop {
            match std::fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => return text,
                _ => tokio::time::sleep(TICK).await,
            }
        }
    }

    #[tokio::test]
    async fn what_a_program_started_ends_with_it_though_it_does_not_listen() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!(
            "trap '' TERM; (trap '' TERM; sleep 1000 & echo $! >{}; wait) & wait; sleep 1000",
            file.display()
        );
        let limits = Limits { close: Duration::from_millis(100), ..Limits::default() };
        let (child, pipes) = start(&sh(&script), &limits, &Masks::default()).unwrap();
        let pid = pid_in(&file).await;
        assert!(alive(&pid));
        drop(pipes);
        child.end().await;
        assert!(gone(&pid).await);
    }

    #[tokio::test]
    async fn a_dropped_program_is_ended_too() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("pid");
        let script = format!("sleep 1000 & echo $! >{}; wait", file.display());
        let (child, _pipes) = start(&sh(&script), &Limits::default(), &Masks::default()).unwrap();
        let pid = pid_in(&file).await;
        drop(child);
        assert!(gone(&pid).await);
    }

    #[tokio::test]
    async fn its_last_words_are_kept_without_secrets() {
        let masks = Masks::new(["hunter22"]);
        let script = "seq 1 100000 >&2; echo key=hunter22 >&2; exit 3";
        let (mut child, _pipes) = start(&sh(script), &Limits::default(), &masks).unwrap();
        let how = child.ended(Duration::from_secs(20)).await;
        assert_eq!(how.as_deref(), Some("exit status: 3"));
        let said = child.said().settled().await;
        assert!(said.ends_with("100000\nkey=***"), "{said}");
        assert_eq!(said.lines().count(), KEPT_LINES);
    }
}
