//! Starting the control plane of a home, and waiting until it answers.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, ExitStatus};
use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use atelier_config::Home;
use tokio::time::{Instant, sleep};

use crate::{Client, ClientError};

/// How long a start may take. Reconciling many environments after a crash comes first.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a control plane that ended quietly, because another one was faster, leaves for that
/// other one before a new one is started.
const GRACE: Duration = Duration::from_millis(100);
/// Lines of the log that an error shows.
const LINES: usize = 8;

/// Starts the process of a control plane.
pub type Spawn<'a> = dyn Fn() -> Result<Child, Problem> + 'a;

/// How a home's control plane is started.
pub struct Starter<'a> {
    log: PathBuf,
    spawn: Box<Spawn<'a>>,
}

impl std::fmt::Debug for Starter<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Starter").field("log", &self.log).finish_non_exhaustive()
    }
}

impl<'a> Starter<'a> {
    /// Starts by `spawn`, which gives the new process its log file as output.
    #[must_use]
    pub fn new(home: &Home, spawn: impl Fn() -> Result<Child, Problem> + 'a) -> Self {
        Self { log: home.log_file(), spawn: Box::new(spawn) }
    }

    /// Starts the control plane and waits until `client` has a connection to it. Whoever else
    /// starts one at the same time ends with the same one: the control plane's lock decides.
    ///
    /// # Errors
    /// [`ClientError::Start`] with the end of the log.
    pub async fn start(&self, client: &Client) -> Result<(), ClientError> {
        let log_from = self.log.metadata().map_or(0, |m| m.len());
        let deadline = Instant::now() + PATIENCE;
        let mut child = Some((self.spawn)()?);
        let mut quiet_since = Instant::now();
        let mut pause = Duration::from_millis(1);
        loop {
            match client.connect().await {
                Err(error) if error.is_absent() => {}
                other => return other,
            }
            if let Some(status) = child.as_mut().and_then(|c| c.try_wait().ok()).flatten() {
                if !status.success() {
                    return Err(self.failed(status, log_from));
                }
                child = None;
                quiet_since = Instant::now();
            }
            if child.is_none() && quiet_since.elapsed() > GRACE {
                child = Some((self.spawn)()?);
            }
            if Instant::now() > deadline {
                let why = format!("it did not answer within {} seconds", PATIENCE.as_secs());
                return Err(self.error(why, ExitCode::Configuration, log_from));
            }
            sleep(pause).await;
            pause = (pause * 2).min(Duration::from_millis(20));
        }
    }

    fn failed(&self, status: ExitStatus, log_from: u64) -> ClientError {
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        let exit = code.map_or(ExitCode::Failed, ExitCode::from);
        let why = match code {
            Some(_) => format!("it ended: {}", ExitCode::TABLE[usize::from(exit.code())].1),
            None => format!("it ended: {status}"),
        };
        self.error(why, exit, log_from)
    }

    fn error(&self, why: String, exit: ExitCode, log_from: u64) -> ClientError {
        ClientError::Start { why, log: self.tail(log_from).unwrap_or_default(), exit }
    }

    /// The last lines that were logged since the start.
    fn tail(&self, from: u64) -> io::Result<Vec<String>> {
        let mut file = File::open(&self.log)?;
        let length = file.metadata()?.len();
        // A log that was begun anew is shorter than it was.
        let from = if length < from { 0 } else { from };
        file.seek(SeekFrom::Start(from.max(length.saturating_sub(64 << 10))))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<_> = text.lines().filter(|l| !l.trim().is_empty()).collect();
        Ok(lines[lines.len().saturating_sub(LINES)..].iter().map(|l| (*l).to_owned()).collect())
    }
}
