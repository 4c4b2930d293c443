//! `env exec`: a command in a service's container, followed by a user.

use std::fs;
use std::sync::Arc;

use atelier_api::session::{ServiceStart, Stream};
use atelier_api::{ExitCode, Problem};
use atelier_engine::{
    CommandControl, CommandInput, CommandOutput, CommandStream, Container, Engine, NewCommand,
    State,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::sync::Mutex;

use crate::attach::{Ended, Input, Output};
use crate::record::Record;
use crate::workshop::Workshop;

/// A command in a service's container that somebody follows.
#[derive(Debug)]
pub struct ServiceCommand {
    output: CommandOutput,
    input: ServiceInput,
    /// Bytes that it has written so far.
    written: u64,
}

/// The way to a command in a service's container.
#[derive(Debug, Clone)]
pub struct ServiceInput {
    stdin: Arc<Mutex<CommandInput>>,
    control: CommandControl,
    engine: Engine,
    container: String,
}

impl Workshop {
    /// Starts a command in the container of a service that runs.
    ///
    /// # Errors
    /// `env.not_found`, `env.no_service`, `service.not_running`; what the engine has against it.
    pub async fn exec_service(
        self: &Arc<Self>,
        start: &ServiceStart,
    ) -> Result<ServiceCommand, Problem> {
        let record = self.get(&start.project, &start.env).await?;
        self.had_services(&record).await?;
        let engine = self.driver.engine().await?;
        let chosen = [start.service.clone()];
        let containers = self.containers_of(&engine, &record, &chosen).await?;
        let container = pick(containers, start, &record)?;
        let command = NewCommand {
            words: start.command.clone(),
            variables: start.variables.clone().into_iter().collect(),
            user: start.user.clone(),
            folder: start.folder.clone(),
            terminal: start.terminal.map(|size| (size.rows, size.columns)),
            stdin: start.stdin,
        };
        let (output, input, control) = engine.begin(&container.id, command).await?;
        let stdin = Arc::new(Mutex::new(input));
        let input = ServiceInput { stdin, control, engine, container: container.id };
        Ok(ServiceCommand { output, input, written: 0 })
    }
}

impl ServiceCommand {
    /// The way in, for another task.
    #[must_use]
    pub fn input(&self) -> Input {
        Input::Service(self.input.clone())
    }

    /// What comes next. After [`Output::Ended`] there is nothing more.
    ///
    /// # Errors
    /// When the engine is gone.
    pub async fn next(&mut self) -> Result<Output, Problem> {
        let Some((from, bytes)) = self.output.next().await? else {
            let code = i32::try_from(self.output.exit_code().await?).unwrap_or(-1);
            return Ok(Output::Ended(Ended { code, signal: None, reason: None }));
        };
        let stream = match from {
            CommandStream::Stdout => Stream::Stdout,
            CommandStream::Stderr => Stream::Stderr,
            CommandStream::Terminal => Stream::Terminal,
        };
        self.written += bytes.len() as u64;
        Ok(Output::Data { stream, next: self.written, bytes })
    }

    /// The user has gone. An engine lets a command go on that nobody can reach any more: it is told, as by
    /// a terminal that closes.
    pub async fn hang_up(self) {
        if let Err(problem) = self.input.signal(Signal::SIGHUP as i32).await {
            tracing::debug!(%problem, "a command in a container was left");
        }
    }
}

impl ServiceInput {
    pub(crate) async fn send(&self, bytes: &[u8]) -> Result<(), Problem> {
        if self.stdin.lock().await.send(bytes).await {
            return Ok(());
        }
        Err(Problem::new("run.not_found", ExitCode::NotFound, "the command takes no more input"))
    }

    pub(crate) async fn close(&self) -> Result<(), Problem> {
        self.stdin.lock().await.close().await;
        Ok(())
    }

    pub(crate) async fn resize(&self, rows: u16, columns: u16) -> Result<(), Problem> {
        Ok(self.control.resize(rows, columns).await?)
    }

    /// Engines have no call for this: the process is found by its number, and told directly where this
    /// user may, else by a command of its container.
    pub(crate) async fn signal(&self, number: i32) -> Result<(), Problem> {
        let Some(pid) = self.control.process().await? else { return Ok(()) };
        let (Ok(signal), Some(inside)) =
            (Signal::try_from(number), number_inside(pid, &self.container))
        else {
            let detail = "the command runs on another machine and can't be told of signals";
            return Err(Problem::new("exec.signal", ExitCode::Engine, detail));
        };
        if kill(Pid::from_raw(pid), signal).is_ok() {
            return Ok(());
        }
        let line = format!("kill -{number} {inside}");
        self.engine.exec(&self.container, &["sh", "-c", &line], None, None).await?;
        Ok(())
    }
}

/// The number that a process has in its container; `None` when it is none of this machine, or of another
/// container: numbers come again.
fn number_inside(pid: i32, container: &str) -> Option<i32> {
    let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    if !groups.contains(container) {
        return None;
    }
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let numbers = status.lines().find_map(|line| line.strip_prefix("NSpid:"))?;
    numbers.split_whitespace().last()?.parse().ok()
}

/// The container that is meant: one that runs, of several the one with the number.
fn pick(
    mut containers: Vec<Container>,
    start: &ServiceStart,
    record: &Record,
) -> Result<Container, Problem> {
    containers.retain(|container| container.state == State::Running);
    containers.sort_by(|a, b| a.name.len().cmp(&b.name.len()).then_with(|| a.name.cmp(&b.name)));
    let count = containers.len();
    let place = start.index.unwrap_or(1);
    let wanted = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
    wanted.and_then(|place| containers.into_iter().nth(place)).ok_or_else(|| {
        let service = &start.service;
        let detail = match (start.index, count) {
            (Some(index), 1..) => format!("{service} has no container {index}, but {count}"),
            _ => format!("{service} does not run in {}", record.label()),
        };
        Problem::new("service.not_running", ExitCode::NotFound, detail)
            .hint(format!("start it: atelier env up {} {service}", record.name))
            .hint(format!("what it does: atelier env status {}", record.name))
    })
}
