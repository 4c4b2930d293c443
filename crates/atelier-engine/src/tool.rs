//! Compose as a program: run with a file of ours against an engine, with a time limit and turns.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::Command;

use crate::connect::Engine;
use crate::error::EngineError;

/// Lines of its output that an error repeats.
const SAID: usize = 20;

/// One call.
#[derive(Debug)]
pub struct Run<'a> {
    /// The program up to Compose's own arguments, such as `docker compose`.
    pub argv: &'a [OsString],
    /// The Compose project's name.
    pub project: &'a str,
    /// The file.
    pub file: &'a Path,
    /// The folder that builds and relative paths start from.
    pub folder: &'a Path,
    /// `up`, `down`, … with its arguments.
    pub arguments: Vec<OsString>,
    /// How long it may take.
    pub limit: Duration,
    /// Variables besides the control plane's own.
    pub variables: Vec<(String, String)>,
}

impl Engine {
    /// Runs Compose to its end; each line of its progress goes to `progress`.
    ///
    /// # Errors
    /// [`EngineError::Tool`] with the end of what it said, or what that is known to mean.
    pub async fn compose(
        &self,
        run: Run<'_>,
        progress: &mut (dyn FnMut(&str) + Send),
    ) -> Result<(), EngineError> {
        let doing = run.arguments.first().map(|a| a.to_string_lossy().into_owned());
        let doing = doing.unwrap_or_default();
        let failed = |how: String, said: String| EngineError::Tool {
            program: program(run.argv),
            doing: doing.clone(),
            how,
            said,
        };
        let mut child = self
            .command(&run)
            .spawn()
            .map_err(|error| failed(format!("it can't be started: {error}"), String::new()))?;
        let stderr = child.stderr.take();
        let mut said = Vec::new();
        let ended = tokio::time::timeout(run.limit, async {
            if let Some(stderr) = stderr {
                listen(stderr, &mut said, progress).await;
            }
            child.wait().await
        });
        let how = match ended.await {
            Ok(Ok(status)) if status.success() => return Ok(()),
            Ok(Ok(status)) => status.to_string(),
            Ok(Err(error)) => error.to_string(),
            Err(_) => format!("it took longer than {} s", run.limit.as_secs()),
        };
        Err(failed(how, said[said.len().saturating_sub(SAID)..].join("\n")))
    }

    fn command(&self, run: &Run<'_>) -> Command {
        let mut argv = run.argv.iter();
        let mut command = Command::new(argv.next().cloned().unwrap_or_default());
        command
            .args(argv)
            .args(["--ansi", "never", "--progress", "plain", "--project-name", run.project])
            .arg("--file")
            .arg(run.file)
            .arg("--project-directory")
            .arg(run.folder)
            .args(&run.arguments)
            .current_dir(run.folder)
            .env("DOCKER_HOST", self.address())
            .env_remove("DOCKER_CONTEXT")
            .env_remove("COMPOSE_FILE")
            .env_remove("COMPOSE_PROJECT_NAME")
            .env_remove("COMPOSE_PROFILES")
            .envs(run.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }
}

fn program(argv: &[OsString]) -> String {
    let words: Vec<_> = argv
        .iter()
        .map(|word| PathBuf::from(word).file_name().map(|n| n.to_string_lossy().into_owned()))
        .map(Option::unwrap_or_default)
        .collect();
    words.join(" ")
}

async fn listen(
    from: impl AsyncRead + Unpin,
    said: &mut Vec<String>,
    progress: &mut (dyn FnMut(&str) + Send),
) {
    let mut lines = BufReader::new(from).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        progress(&line);
        said.push(line);
    }
}
