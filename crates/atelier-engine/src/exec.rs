//! Commands inside containers that run: fed through standard input, read from standard output.

use std::pin::Pin;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc::Sender;

use crate::connect::Engine;
use crate::contents::Contents;
use crate::error::{Doing, EngineError};

/// Bytes of what a command said that are kept.
const SAID: usize = 4096;
/// How often the engine is asked about a command: whether one that closed its output has ended, which number it has.
pub(crate) const PAUSE: Duration = Duration::from_millis(20);

/// How a command ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Its exit code.
    pub code: i64,
    /// The end of what it said on standard error, and on standard output if nobody else took that.
    pub said: String,
}

impl Engine {
    /// Runs a command in a container to its end. `input` becomes its standard input, what it writes to
    /// standard output goes to `output`.
    ///
    /// # Errors
    /// [`EngineError::Refused`] when it could not be run; the failure of where `input` comes from.
    pub async fn exec(
        &self,
        id: &str,
        command: &[&str],
        input: Option<Contents>,
        output: Option<Sender<Bytes>>,
    ) -> Result<Finished, EngineError> {
        let doing = || format!("run a command in the container {id}");
        let config = ExecConfig {
            attach_stdin: Some(input.is_some()),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(command.iter().map(|&word| word.to_owned()).collect()),
            ..ExecConfig::default()
        };
        let exec = self.docker.create_exec(id, config).await.doing(doing)?.id;
        let started = self.docker.start_exec(&exec, None::<StartExecOptions>).await.doing(doing)?;
        let StartExecResults::Attached { output: pieces, input: stdin } = started else {
            return Err(EngineError::Refused { doing: doing(), why: "it is detached".into() });
        };
        let (fed, said) = tokio::join!(feed(stdin, input), listen(pieces, output));
        let said = said.doing(doing)?;
        fed?;
        Ok(Finished { code: self.exit_code(&exec, &doing).await?, said })
    }

    pub(crate) async fn exit_code(
        &self,
        exec: &str,
        doing: &(impl Fn() -> String + Sync),
    ) -> Result<i64, EngineError> {
        loop {
            let seen = self.docker.inspect_exec(exec).await.doing(doing)?;
            if let (Some(code), false) = (seen.exit_code, seen.running == Some(true)) {
                return Ok(code);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

async fn feed(
    mut stdin: Pin<Box<dyn AsyncWrite + Send>>,
    input: Option<Contents>,
) -> Result<(), EngineError> {
    let Some(mut input) = input else { return Ok(()) };
    let mut outcome = Ok(());
    while let Some(piece) = input.next().await {
        match piece {
            // A command may end before it has read everything: its exit code says whether that is fine.
            Ok(piece) if stdin.write_all(&piece).await.is_err() => break,
            Ok(_) => {}
            Err(error) => {
                outcome = Err(error);
                break;
            }
        }
    }
    // Also after a failure: the command waits for the end of its input, and we for the command's.
    let _ = stdin.shutdown().await;
    outcome
}

async fn listen(
    mut pieces: Pin<Box<dyn Stream<Item = Result<LogOutput, Error>> + Send>>,
    output: Option<Sender<Bytes>>,
) -> Result<String, Error> {
    let mut said = Vec::new();
    while let Some(piece) = pieces.next().await {
        match (piece?, &output) {
            (LogOutput::StdOut { message }, Some(output)) => {
                // Whoever no longer listens has failed and says so.
                if output.send(message).await.is_err() {
                    break;
                }
            }
            (piece, _) => said.extend_from_slice(&piece.into_bytes()),
        }
        said.drain(..said.len().saturating_sub(SAID));
    }
    Ok(String::from_utf8_lossy(&said).trim().to_owned())
}
