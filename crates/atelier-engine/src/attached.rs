//! A command inside a container with somebody at the other end: input as it is typed, output as it comes.

use std::collections::HashMap;
use std::pin::Pin;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{ResizeExecOptions, StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use crate::connect::Engine;
use crate::error::{Doing, EngineError};
use crate::exec::PAUSE;

/// How often a command is looked at that has no number yet: five seconds in all.
const LOOKS: u32 = 250;

/// A command to be run in a container.
#[derive(Debug, Clone, Default)]
pub struct NewCommand {
    /// The command and its arguments.
    pub words: Vec<String>,
    /// Its variables, beside the container's.
    pub variables: HashMap<String, String>,
    /// The user, when it is not the container's.
    pub user: Option<String>,
    /// The folder, when it is not the container's.
    pub folder: Option<String>,
    /// A terminal of so many lines and columns.
    pub terminal: Option<(u16, u16)>,
    /// Whether it gets standard input.
    pub stdin: bool,
}

/// Which stream of a command wrote.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
    /// The terminal.
    Terminal,
}

/// What a command writes.
pub struct CommandOutput {
    engine: Engine,
    id: String,
    pieces: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
}

/// The way in.
pub struct CommandInput(Pin<Box<dyn AsyncWrite + Send>>);

/// Sets the size of a command's terminal and tells it of signals.
#[derive(Debug, Clone)]
pub struct CommandControl {
    engine: Engine,
    id: String,
}

impl std::fmt::Debug for CommandOutput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandOutput").field("id", &self.id).finish_non_exhaustive()
    }
}

impl std::fmt::Debug for CommandInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CommandInput").finish_non_exhaustive()
    }
}

impl Engine {
    /// Begins a command in a container.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it could not be run.
    pub async fn begin(
        &self,
        container: &str,
        command: NewCommand,
    ) -> Result<(CommandOutput, CommandInput, CommandControl), EngineError> {
        let doing = || format!("run a command in the container {container}");
        let variables = command.variables.iter().map(|(name, value)| format!("{name}={value}"));
        let config = ExecConfig {
            attach_stdin: Some(command.stdin),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            tty: Some(command.terminal.is_some()),
            env: Some(variables.collect()),
            user: command.user,
            working_dir: command.folder,
            cmd: Some(command.words),
            ..ExecConfig::default()
        };
        let id = self.docker.create_exec(container, config).await.doing(doing)?.id;
        let options =
            StartExecOptions { tty: command.terminal.is_some(), ..StartExecOptions::default() };
        let started = self.docker.start_exec(&id, Some(options)).await.doing(doing)?;
        let StartExecResults::Attached { output, input } = started else {
            return Err(EngineError::Refused { doing: doing(), why: "it is detached".into() });
        };
        let control = CommandControl { engine: self.clone(), id: id.clone() };
        if let Some((rows, columns)) = command.terminal {
            control.resize(rows, columns).await?;
        }
        let output = CommandOutput { engine: self.clone(), id, pieces: output };
        Ok((output, CommandInput(input), control))
    }
}

impl CommandOutput {
    /// What it writes next; `None` when there is no more.
    ///
    /// # Errors
    /// When the engine is gone.
    pub async fn next(&mut self) -> Result<Option<(From, Bytes)>, EngineError> {
        let Some(piece) = self.pieces.next().await else { return Ok(None) };
        Ok(Some(match piece.doing(|| "follow a command".into())? {
            LogOutput::StdErr { message } => (From::Stderr, message),
            LogOutput::Console { message } => (From::Terminal, message),
            LogOutput::StdOut { message } | LogOutput::StdIn { message } => (From::Stdout, message),
        }))
    }

    /// How it ended, after its output has.
    ///
    /// # Errors
    /// When the engine is gone.
    pub async fn exit_code(&mut self) -> Result<i64, EngineError> {
        self.engine.exit_code(&self.id, &|| "look at a command".into()).await
    }
}

impl CommandInput {
    /// Passes bytes on. A command that takes no more has ended or will say so by its exit code.
    pub async fn send(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).await.is_ok() && self.0.flush().await.is_ok()
    }

    /// Ends its standard input.
    pub async fn close(&mut self) {
        let _ = self.0.shutdown().await;
    }
}

impl CommandControl {
    /// Gives its terminal another size. One that has ended needs none.
    ///
    /// # Errors
    /// When the engine is gone.
    pub async fn resize(&self, rows: u16, columns: u16) -> Result<(), EngineError> {
        let options = ResizeExecOptions { height: rows, width: columns };
        match self.engine.docker.resize_exec(&self.id, options).await {
            Ok(()) | Err(Error::DockerResponseServerError { .. }) => Ok(()),
            Err(error) => Err(error).doing(|| "resize a terminal".into()),
        }
    }

    /// Its process, as the engine's machine numbers it, while it runs. A command may write before its engine
    /// has noted its number, which is waited for.
    ///
    /// # Errors
    /// When the engine is gone.
    pub async fn process(&self) -> Result<Option<i32>, EngineError> {
        let mut looks = LOOKS;
        loop {
            let seen = self.engine.docker.inspect_exec(&self.id).await;
            let seen = seen.doing(|| "look at a command".into())?;
            let pid = seen.pid.and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 1);
            let ended = seen.exit_code.is_some() && seen.running != Some(true);
            looks -= 1;
            if ended || pid.is_some() || looks == 0 {
                return Ok(pid.filter(|_| !ended));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
