//! Commands that run: each has one recorder, which writes its output down and notes how it ends, whether a
//! user follows it or nobody does. Also how one finds a command again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

use atelier_api::session::RunAttach;
use atelier_api::{ExitCode, Problem};
use atelier_guest::client::ProcessStream;
use atelier_sandbox::Live;
use serde_json::json;
use tokio::sync::watch;
use uuid::Uuid;

use crate::attach::{Attached, Output};
use crate::log::{self, LogWriter};
use crate::record::Record;
use crate::store::{self, RunRow};
use crate::workshop::Workshop;

/// Commands by their runs, with what is closed when their recorder has done.
type Recorded = Arc<Mutex<HashMap<Uuid, watch::Receiver<()>>>>;

/// Who writes down what.
#[derive(Debug, Default)]
pub(crate) struct Recorders(Recorded);

/// Writes one command's output down; there is one for each.
#[derive(Debug)]
pub(crate) struct Recorder {
    run: Uuid,
    all: Recorded,
    log: Option<LogWriter>,
    /// Dropped with the recorder, which tells those who wait for it.
    _done: watch::Sender<()>,
}

impl Recorders {
    /// Becomes the recorder of a command; `None` when it has one.
    fn claim(&self, run: Uuid, log: impl FnOnce() -> Option<LogWriter>) -> Option<Recorder> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.contains_key(&run) {
            return None;
        }
        let (done, waiting) = watch::channel(());
        all.insert(run, waiting);
        Some(Recorder { run, all: self.0.clone(), log: log(), _done: done })
    }

    /// Returns when a command has no recorder any more.
    async fn done(&self, run: Uuid) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&run).cloned();
        if let Some(mut waiting) = waiting {
            while waiting.changed().await.is_ok() {}
        }
    }
}

impl Recorder {
    /// Keeps output that begins at an offset.
    pub(crate) fn write(&mut self, offset: u64, bytes: &[u8]) {
        if let Some(log) = &mut self.log
            && let Err(error) = log.write(offset, bytes)
        {
            tracing::warn!(%error, run = %self.run, "output is not kept any more");
            self.log = None;
        }
    }

    /// The offset from which it wants to hear.
    fn next(&self) -> u64 {
        self.log.as_ref().map_or(0, LogWriter::next)
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.run);
    }
}

impl Workshop {
    /// A command that has just been started: whoever holds it records it.
    pub(crate) async fn begun(
        self: &Arc<Self>,
        record: &Record,
        live: Live,
        stream: ProcessStream,
        run: RunRow,
    ) -> Result<Attached, Problem> {
        let recorder = self.recorder(record.id, run.id);
        let (workshop, environment, row) = (self.clone(), record.id, run.clone());
        // The command runs; its row must not hold up its output.
        let noted =
            tokio::spawn(
                async move { store::run_started(&workshop.store, environment, &row).await },
            );
        let what = json!({ "command": run.command, "pid": run.pid });
        self.events.publish("run.started", record.label(), what);
        let mut attached = self.attached(record, live, stream, &run).await?;
        (attached.recorder, attached.noted) = (recorder, Some(noted));
        Ok(attached)
    }

    async fn attached(
        self: &Arc<Self>,
        record: &Record,
        live: Live,
        stream: ProcessStream,
        run: &RunRow,
    ) -> Result<Attached, Problem> {
        Ok(Attached {
            environment: self.view(record).await?,
            created: false,
            pid: stream.pid(),
            notes: live.running.notes.clone(),
            terminal: run.terminal,
            remove: run.removes,
            run: run.id,
            exit_code: None,
            noted: None,
            met: live.running.cgroup.events(),
            live,
            stream,
            recorder: None,
        })
    }

    fn recorder(&self, environment: Uuid, run: Uuid) -> Option<Recorder> {
        let folder = log::folder(&self.folder(environment));
        self.recorders.claim(run, || LogWriter::open(&folder, run).ok())
    }

    /// Goes to a command that runs, or that ended not long ago.
    ///
    /// # Errors
    /// `run.not_found` when it is not known any more, or when none runs; `run.ambiguous` when several run
    /// and none was named.
    pub async fn attach(self: &Arc<Self>, attach: &RunAttach) -> Result<Attached, Problem> {
        let record = self.get(&attach.project, &attach.env).await?;
        let live = self.sandboxes.live(record.id).ok_or_else(|| gone(attach))?;
        let pid = match attach.pid {
            Some(pid) => pid,
            None => self.only_one(&record).await?,
        };
        let stream = live.guest.connect(pid, attach.offset).await.map_err(|_| gone(attach))?;
        let runs = store::run_list(&self.store, record.id, 1000).await?;
        let run = runs.into_iter().rev().find(|run| run.pid == pid).ok_or_else(|| gone(attach))?;
        if run.exit_code.is_none() {
            self.record_run(&record, &live, &run).await?;
        }
        self.attached(&record, live, stream, &run).await
    }

    async fn only_one(&self, record: &Record) -> Result<u32, Problem> {
        let running = self.commands(record.id).await;
        match running.as_slice() {
            [one] => Ok(one.pid),
            [] => Err(none_runs(record)),
            several => Err(ambiguous(record, several)),
        }
    }

    /// Sees to it that a command which runs has a recorder.
    async fn record_run(
        self: &Arc<Self>,
        record: &Record,
        live: &Live,
        run: &RunRow,
    ) -> Result<(), Problem> {
        let Some(recorder) = self.recorder(record.id, run.id) else { return Ok(()) };
        let stream = live.guest.connect(run.pid, Some(recorder.next())).await?;
        let mut attached = self.attached(record, live.clone(), stream, run).await?;
        attached.recorder = Some(recorder);
        self.leave(attached).await;
        Ok(())
    }

    /// A user leaves a command to itself: it is recorded until it ends.
    pub async fn leave(self: &Arc<Self>, mut attached: Attached) {
        if attached.recorder.is_none() {
            return;
        }
        // From here on others may look for it.
        attached.noted().await;
        let workshop = self.clone();
        tokio::spawn(async move {
            while let Ok(output) = attached.next().await {
                if matches!(output, Output::Ended(_)) {
                    break;
                }
            }
            if let Err(problem) = workshop.finish(&mut attached).await {
                tracing::warn!(%problem, run = %attached.run, "the end of a command");
            }
        });
    }

    /// The user of a command has gone without a word: it is told, as a closed terminal tells it. It may go
    /// on, unless its environment was to go with it.
    ///
    /// # Errors
    /// When the environment can't be removed.
    pub async fn abandon(self: &Arc<Self>, mut attached: Attached) -> Result<(), Problem> {
        attached.hang_up().await;
        if attached.exit_code.is_some() {
            return self.finish(&mut attached).await;
        }
        if attached.remove {
            attached.noted().await;
            return self.remove_with(&attached).await;
        }
        self.leave(attached).await;
        Ok(())
    }

    /// A command has ended: notes how, and removes the environment if it was made for this command.
    ///
    /// # Errors
    /// When the environment can't be removed.
    pub async fn finish(self: &Arc<Self>, attached: &mut Attached) -> Result<(), Problem> {
        attached.noted().await;
        attached.live.touch();
        let Some(recorder) = attached.recorder.take() else {
            // Its recorder does the rest, and what it does is done when the user hears of the end.
            self.recorders.done(attached.run).await;
            return Ok(());
        };
        if let Some(code) = attached.exit_code {
            store::run_ended(&self.store, attached.run, code).await?;
            let subject = format!("{}/{}", attached.environment.project, attached.environment.name);
            let what = json!({ "pid": attached.pid, "exit_code": code });
            self.events.publish("run.ended", subject, what);
        }
        if attached.remove {
            self.remove_with(attached).await?;
        }
        drop(recorder);
        Ok(())
    }

    async fn remove_with(self: &Arc<Self>, attached: &Attached) -> Result<(), Problem> {
        let environment = &attached.environment;
        let project = self.project(&environment.root).await?;
        let _guard = self.lock(&project, &environment.name).await;
        // Not another one that has its name by now.
        if let Some(record) = self.find(&project, &environment.name).await?
            && record.id == environment.id
        {
            self.remove_record(&record).await?;
        }
        Ok(())
    }

    /// After a start: takes up the recording of commands that went on without a control plane.
    pub async fn keep_running(self: Arc<Self>) {
        let rows = store::environment_list(&self.store, None).await.unwrap_or_default();
        for record in rows.into_iter().filter_map(|row| row.record) {
            let Some(live) = self.sandboxes.live(record.id) else { continue };
            if let Err(problem) = self.keep_all(&record, &live).await {
                tracing::warn!(env = record.label(), %problem, "commands are not recorded");
            }
        }
    }

    async fn keep_all(self: &Arc<Self>, record: &Record, live: &Live) -> Result<(), Problem> {
        let known: HashMap<u32, Vec<String>> =
            live.guest.list(true).await?.into_iter().map(command).collect();
        let mut seen = HashSet::new();
        for run in store::run_list(&self.store, record.id, 1000).await?.into_iter().rev() {
            // Numbers come again when a sandbox was restarted: the newest command has it.
            let newest = seen.insert(run.pid);
            if newest && run.exit_code.is_none() && known.get(&run.pid) == Some(&run.command) {
                self.record_run(record, live, &run).await?;
            }
        }
        Ok(())
    }
}

fn command(process: atelier_guest::wire::ProcessInfo) -> (u32, Vec<String>) {
    (process.pid, std::iter::once(process.config.cmd).chain(process.config.args).collect())
}

fn gone(attach: &RunAttach) -> Problem {
    let detail = match attach.pid {
        Some(pid) => format!("no command {pid} runs in {}", attach.env),
        None => format!("no command runs in {}", attach.env),
    };
    Problem::new("run.not_found", ExitCode::NotFound, detail)
        .hint("it ended, or the environment's sandbox was stopped or restarted meanwhile")
        .hint(format!("what it wrote: atelier env logs {}", attach.env))
}

fn none_runs(record: &Record) -> Problem {
    let detail = format!("no command runs in {}", record.label());
    Problem::new("run.not_found", ExitCode::NotFound, detail)
        .hint(format!("start one: atelier run -d {} -- CMD", record.name))
        .hint(format!("what earlier ones wrote: atelier env logs {}", record.name))
}

fn ambiguous(record: &Record, running: &[atelier_api::env::Process]) -> Problem {
    let detail = format!("{} commands run in {}", running.len(), record.label());
    let mut problem = Problem::new("run.ambiguous", ExitCode::Usage, detail);
    for process in running {
        let line = process.command.join(" ");
        problem = problem.hint(format!("atelier attach {} {}    {line}", record.name, process.pid));
    }
    problem
}
