//! `atelier run`: the environment, new if need be; its sandbox, started if need be; the command.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::session::RunStart;
use atelier_api::{ExitCode, HostPath, Problem};
use atelier_environment::Project;
use atelier_guest::client::GuestError;
use atelier_guest::wire::{ProcessConfig, Pty, PtySize, StartRequest};
use atelier_sandbox::Live;
use jiff::Timestamp;
use tokio::sync::OwnedRwLockReadGuard;
use uuid::Uuid;

use crate::attach::Attached;
use crate::error::{exists, init_failed};
use crate::record::Record;
use crate::store::RunRow;
use crate::workshop::Workshop;

/// What commands find in their environment besides what the caller and `atelier.yaml` give.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Workshop {
    /// Starts a command. `creating` is called when its environment has to be made first.
    ///
    /// # Errors
    /// What keeps the environment from being made, its sandbox from starting, or the command from
    /// being found.
    pub async fn run(
        self: &Arc<Self>,
        start: &RunStart,
        creating: impl AsyncFnOnce(),
    ) -> Result<Attached, Problem> {
        let project = self.project(&start.project).await?;
        // Held until the command runs: from then on a removal sees it.
        let (record, created, held) = self.environment(project, start, creating).await?;
        let started = match self.services_for(&record, start.services.as_ref()).await {
            Ok(()) => self.start(&record, start).await,
            Err(problem) => Err(problem),
        };
        drop(held);
        match started {
            Ok(mut attached) => {
                attached.created = created;
                Ok(attached)
            }
            Err(problem) => {
                // An environment that was made for this command alone goes with it, and so does one
                // that can't be used at all: its options would stand in the way of better ones.
                let unusable = self.sandboxes.live(record.id).is_none();
                if created && (start.remove || unusable) {
                    let _guard = self.lock(&record.project, &record.name).await;
                    self.remove_record(&record).await?;
                }
                Err(problem)
            }
        }
    }

    async fn environment(
        self: &Arc<Self>,
        project: Project,
        start: &RunStart,
        creating: impl AsyncFnOnce(),
    ) -> Result<(Record, bool, OwnedRwLockReadGuard<()>), Problem> {
        let held = self.share(&project, &start.env).await;
        if let Some(record) = self.find(&project, &start.env).await? {
            return usable(record, start).map(|record| (record, false, held));
        }
        drop(held);
        let guard = self.lock(&project, &start.env).await;
        // Another command may have made it while this one waited.
        if let Some(record) = self.find(&project, &start.env).await? {
            return usable(record, start).map(|record| (record, false, guard.downgrade()));
        }
        creating().await;
        let record = self.create_locked(project, &start.env, start.options.clone()).await?;
        Ok((record, true, guard.downgrade()))
    }

    async fn start(
        self: &Arc<Self>,
        record: &Record,
        start: &RunStart,
    ) -> Result<Attached, Problem> {
        let live = self.sandbox(record).await?;
        let request = self.request(record, start);
        let stream = live.guest.start(&request).await.map_err(refused)?;
        let row = RunRow {
            terminal: request.pty.is_some(),
            removes: start.remove,
            ..row(stream.pid(), request.process)
        };
        self.begun(record, live, stream, row).await
    }

    /// The sandbox of an environment, started if need be, with the way to its services.
    pub(crate) async fn sandbox(self: &Arc<Self>, record: &Record) -> Result<Live, Problem> {
        if let Some(live) = self.sandboxes.live(record.id) {
            live.touch();
            return Ok(live);
        }
        if record.shown {
            self.show_tree(record).await?;
        }
        let services = self.services_up(record.id).await?;
        let policy = self.policy(record, services.as_ref());
        let folder = self.sandboxes.folders(record.id).root().to_owned();
        let live = self.sandboxes.ensure_running(&record.sandbox(policy, &folder)).await?;
        if services.is_some() {
            self.tell_sandbox(record).await?;
        }
        Ok(live)
    }

    fn request(&self, record: &Record, start: &RunStart) -> StartRequest {
        let mut envs = self.variables(record, &start.inherited);
        envs.extend(start.variables.clone());
        let mut command = start.command.iter().map(HostPath::as_path);
        let (cmd, args) = match command.next() {
            Some(program) => (program.to_owned(), command.map(Path::to_owned).collect()),
            None => {
                (PathBuf::from(envs.get("SHELL").map_or("/bin/sh", String::as_str)), Vec::new())
            }
        };
        let cwd = start.project.as_path().canonicalize().ok();
        let inside = cwd.filter(|c| c.starts_with(&record.workspace.target));
        StartRequest {
            process: process(&cmd, &args, envs, &inside.unwrap_or(record.workspace.target.clone())),
            pty: start.terminal.map(|size| Pty {
                size: PtySize { cols: size.columns.into(), rows: size.rows.into() },
            }),
            stdin: Some(start.stdin),
            tag: None,
        }
    }

    pub(crate) fn variables(
        &self,
        record: &Record,
        inherited: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut envs = BTreeMap::from([
            ("PATH".to_owned(), PATH.to_owned()),
            ("HOME".to_owned(), record.user_home.to_string_lossy().into_owned()),
        ]);
        envs.extend(inherited.clone());
        envs.extend(record.options.variables.clone());
        let workspace = record.workspace.target.to_string_lossy().into_owned();
        envs.insert("ATELIER_ENV".into(), record.name.to_string());
        envs.insert("ATELIER_PROJECT".into(), record.project.name.to_string());
        envs.insert("ATELIER_WORKSPACE".into(), workspace);
        if record.shown {
            envs.extend(self.tokens(record));
        }
        if let Some(url) = self.url(record) {
            envs.insert("ATELIER_URL".into(), url);
        }
        envs
    }

    /// The init command of `atelier.yaml`, run once in the new environment.
    pub(crate) async fn init(
        self: &Arc<Self>,
        record: &Record,
        command: &str,
    ) -> Result<(), Problem> {
        let live = self.sandbox(record).await?;
        let args = ["-c".into(), command.into()];
        let envs = self.variables(record, &self.defaults.inherited);
        let request = StartRequest {
            process: process(Path::new("/bin/sh"), &args, envs, &record.workspace.target),
            stdin: Some(false),
            ..StartRequest::default()
        };
        let stream = live.guest.start(&request).await?;
        let row = row(stream.pid(), request.process);
        let mut attached = self.begun(record, live, stream, row).await?;
        let (code, last) = attached.run_to_end().await?;
        self.finish(&mut attached).await?;
        if code == 0 { Ok(()) } else { Err(init_failed(command, code, &last)) }
    }
}

/// A command that has just been started.
fn row(pid: u32, process: ProcessConfig) -> RunRow {
    RunRow {
        id: Uuid::now_v7(),
        pid,
        command: std::iter::once(process.cmd).chain(process.args).collect(),
        started_at: Timestamp::now(),
        exit_code: None,
        terminal: false,
        removes: false,
    }
}

/// A command that can't be started ends with the code that a shell would give: 126 or 127.
fn refused(error: GuestError) -> Problem {
    let code = error.shell_code().and_then(|code| u8::try_from(code).ok());
    let mut problem = Problem::from(error);
    if let Some(code) = code {
        problem.exit = code;
        problem.code = "run.command_not_started".into();
    }
    problem
}

/// Options are an environment's from its making on; asking an existing one for others is a mistake
/// that must not pass in silence.
fn usable(record: Record, start: &RunStart) -> Result<Record, Problem> {
    if start.new {
        return Err(exists(&record.name, record.project.name.as_str()));
    }
    let (asked, has) = (&start.options, &record.options);
    let differs = |name, differs: bool| differs.then_some(name);
    let asks = |asked: Option<u64>, has: Option<u64>| asked.is_some() && asked != has;
    let different: Vec<&str> = [
        differs("--from", asked.from.is_some() && asked.from != has.from),
        differs("--empty", asked.empty && !has.empty),
        differs("--include", asked.include.iter().any(|glob| !has.include.contains(glob))),
        differs("--runtime", asked.runtime.is_some() && asked.runtime != has.runtime),
        differs("--network", asked.network.is_some() && asked.network != has.network),
        differs("--allow", !asked.allow.is_empty() && asked.allow != has.allow),
        differs("--grant", asked.grants.iter().any(|g| !has.grants.contains(g))),
        differs("--memory", asks(asked.resources.memory, has.resources.memory)),
        differs("--processes", asks(asked.resources.processes, has.resources.processes)),
        differs("--disk", asks(asked.resources.disk, has.resources.disk)),
        differs(
            "--cpus",
            asked.resources.cpus.is_some() && asked.resources.cpus != has.resources.cpus,
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    if different.is_empty() {
        return Ok(record);
    }
    let detail = format!(
        "the environment {} exists already and was made with another {}",
        record.name,
        different.join(", ")
    );
    Err(Problem::new("env.options_differ", ExitCode::Conflict, detail)
        .hint("leave these options out, or use another name")
        .hint(format!("or remove it first: atelier env rm {}", record.name)))
}

fn process(
    cmd: &Path,
    args: &[PathBuf],
    envs: BTreeMap<String, String>,
    cwd: &Path,
) -> ProcessConfig {
    ProcessConfig::of_bytes(cmd, args, envs, cwd)
}
