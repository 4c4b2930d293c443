//! Commands in the sandbox of a build.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_guest::client::{Guest, GuestError};
use atelier_guest::wire::{ProcessConfig, ProcessEvent, StartRequest, Stream};
use serde_json::Value;

use super::log::Level;
use super::store::Shared;

/// Where programs are found whatever a template makes of `PATH`.
const STANDARD_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Who runs a command, where, with which variables: what `USER`, `WORKDIR` and `ENV` set.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Context {
    pub(super) user: String,
    pub(super) workdir: Option<String>,
    pub(super) variables: BTreeMap<String, String>,
}

impl Context {
    /// The same variables, as root, in no folder in particular.
    pub(super) fn as_root(&self) -> Self {
        Self { user: "root".to_owned(), workdir: None, variables: self.variables.clone() }
    }

    /// The same for another user.
    pub(super) fn with_user(&self, user: &str) -> Self {
        Self { user: user.to_owned(), ..self.clone() }
    }
}

/// Where the lines of a command go in the log.
pub(super) struct Lines<'a> {
    pub(super) build: &'a Shared,
    pub(super) level: Level,
    /// The step that the entries belong to.
    pub(super) step: &'a str,
    /// What stands before each line.
    pub(super) prefix: &'a str,
}

impl Lines<'_> {
    fn say(&self, stream: Stream, line: &[u8]) {
        let line = String::from_utf8_lossy(line);
        let line = line.trim();
        if !line.is_empty() {
            let from = if stream == Stream::Stderr { "stderr" } else { "stdout" };
            let message = format!("[{}] [{from}]: {line}", self.prefix);
            self.build.say(self.level, Some(self.step), &message);
        }
    }
}

/// The shell of one sandbox.
#[derive(Clone)]
pub(super) struct Shell {
    guest: Guest,
    program: &'static str,
    limit: Duration,
}

impl Shell {
    /// A shell in the sandbox of this guest: bash, as in E2B, or what there is.
    pub(super) async fn open(guest: Guest, limit: Duration) -> Self {
        let bash = guest.clone().with_user("root").stat("/bin/bash").await.is_ok();
        Self { guest, program: if bash { "/bin/bash" } else { "/bin/sh" }, limit }
    }

    /// The guest, called as root.
    pub(super) fn files(&self) -> Guest {
        self.guest.clone().with_user("root")
    }

    /// Runs a command to its end; the error says how it ended.
    pub(super) async fn run(
        &self,
        command: &str,
        context: &Context,
        lines: &Lines<'_>,
    ) -> Result<(), String> {
        let mut pending = [Vec::new(), Vec::new()];
        let ended = self
            .follow(command, context, |stream, bytes| {
                let pending = &mut pending[usize::from(stream == Stream::Stderr)];
                pending.extend_from_slice(bytes);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    lines.say(stream, &line);
                }
                // A line that never ends is cut, so that it does not fill our memory.
                if pending.len() > 64 << 10 {
                    lines.say(stream, &std::mem::take(pending));
                }
            })
            .await;
        lines.say(Stream::Stdout, &pending[0]);
        lines.say(Stream::Stderr, &pending[1]);
        ended
    }

    /// Runs a command and gives what it wrote to its standard output.
    pub(super) async fn output(&self, command: &str, context: &Context) -> Result<String, String> {
        let mut output = Vec::new();
        let taken = |stream, bytes: &[u8]| {
            if stream == Stream::Stdout && output.len() < 1 << 20 {
                output.extend_from_slice(bytes);
            }
        };
        self.follow(command, context, taken).await?;
        Ok(String::from_utf8_lossy(&output).into_owned())
    }

    async fn follow(
        &self,
        command: &str,
        context: &Context,
        mut taken: impl FnMut(Stream, &[u8]) + Send,
    ) -> Result<(), String> {
        let guest = self.guest.clone().with_user(context.user.as_str());
        let request = self.request(command, context);
        let mut stream =
            guest.start_within(&request, Some(self.limit)).await.map_err(|e| failure(&e))?;
        while let Some(event) = stream.next().await {
            match event.map_err(|error| failure(&error))? {
                ProcessEvent::Data(data) => taken(data.stream, &data.bytes),
                ProcessEvent::End(end) if end.exit_code == 0 && end.signal.is_none() => {
                    return Ok(());
                }
                ProcessEvent::End(end) => return Err(end.status),
                _ => {}
            }
        }
        Err("command failed: its stream ended before it did".to_owned())
    }

    fn request(&self, command: &str, context: &Context) -> StartRequest {
        let mut envs = context.variables.clone();
        if let Some(path) = envs.get_mut("PATH") {
            path.push(':');
            path.push_str(STANDARD_PATH);
        }
        let args = ["-l", "-c", command].map(str::to_owned).to_vec();
        let cwd = context.workdir.clone();
        let process =
            ProcessConfig { cmd: self.program.to_owned(), args, envs, cwd, ..Default::default() };
        StartRequest { process, stdin: Some(false), ..StartRequest::default() }
    }
}

/// A failure in the words of the protocol, which clients compare.
fn failure(error: &GuestError) -> String {
    match error {
        GuestError::Refused(refused) => {
            let code = serde_json::to_value(refused.code).ok();
            let code = code.as_ref().and_then(Value::as_str).unwrap_or("unknown");
            format!("command failed: {code}: {}", refused.message)
        }
        other => format!("command failed: {other}"),
    }
}
