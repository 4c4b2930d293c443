//! `env.list`, `env.show`, `env.logs`: environments as others see them.

use std::sync::Arc;

use atelier_api::env::{
    EnvDetail, EnvListInput, EnvLogsInput, EnvRef, EnvState, Environment, Process, RunLog,
};
use atelier_api::{HostPath, Problem};
use atelier_environment::{Config, Mode, Skipped};
use atelier_sandbox::{Guest, Live};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use uuid::Uuid;

use crate::error::{broken, no_environment};
use crate::record::Record;
use crate::workshop::Workshop;
use crate::{log, store};

impl Workshop {
    /// Lists environments, the newest first.
    ///
    /// # Errors
    /// When the folder is in no project, or the table can't be read.
    pub async fn list(self: &Arc<Self>, input: EnvListInput) -> Result<Vec<Environment>, Problem> {
        let project = match input.project {
            Some(folder) => Some(self.project(&folder).await?.id()),
            None => None,
        };
        let rows = store::environment_list(&self.store, project.as_deref()).await?;
        let mut list = Vec::with_capacity(rows.len());
        for row in rows {
            let Some(record) = row.record else { continue };
            let mut seen = self.view(&record).await?;
            if row.state == "removing" {
                seen.state = EnvState::Removing;
            }
            list.push(seen);
        }
        Ok(list)
    }

    /// One environment with what it is made of.
    ///
    /// # Errors
    /// `env.not_found`.
    pub async fn show(self: &Arc<Self>, input: EnvRef) -> Result<EnvDetail, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        let live = self.sandboxes.live(record.id);
        let mut notes = skipped(&record);
        notes.extend(Config::load(&record.project.root).map(|c| c.notes).unwrap_or_default());
        notes.extend(live.iter().flat_map(|l| l.running.notes.clone()));
        let ports = match &live {
            Some(live) => ports(live).await,
            None => Vec::new(),
        };
        let folder = self.sandboxes.folders(record.id).root().to_owned();
        let used = tokio::task::spawn_blocking(move || atelier_files::disk_usage(&folder));
        Ok(EnvDetail {
            environment: self.view(&record).await?,
            layering: layering(&record.workspace.mode).to_owned(),
            disk_bytes: used.await.map_err(|e| broken(&e))?.unwrap_or_default(),
            running: self.commands(record.id).await,
            options: record.options,
            ports,
            notes,
        })
    }

    /// The kept output of commands, the oldest first.
    ///
    /// # Errors
    /// `env.not_found`.
    pub async fn logs(self: &Arc<Self>, input: EnvLogsInput) -> Result<Vec<RunLog>, Problem> {
        let record = self.get(&input.project, &input.env).await?;
        let runs = store::run_list(&self.store, record.id, input.last.unwrap_or(1000)).await?;
        let folder = log::folder(&self.folder(record.id));
        let read = move || {
            runs.into_iter()
                .map(|run| {
                    Ok(RunLog {
                        output_base64: STANDARD.encode(log::read(&folder, run.id)?),
                        id: run.id,
                        pid: run.pid,
                        command: run.command,
                        started_at: run.started_at,
                        exit_code: run.exit_code,
                    })
                })
                .collect::<std::io::Result<Vec<_>>>()
        };
        let logs = tokio::task::spawn_blocking(read).await.map_err(|e| broken(&e))?;
        logs.map_err(|e| {
            let detail = format!("the logs of {} can't be read: {e}", record.name);
            Problem::new("env.logs", atelier_api::ExitCode::Failed, detail)
        })
    }

    /// An environment in a list.
    pub(crate) async fn view(self: &Arc<Self>, record: &Record) -> Result<Environment, Problem> {
        let live = self.sandboxes.live(record.id).is_some();
        let processes = if live { self.commands(record.id).await.len() as u64 } else { 0 };
        Ok(Environment {
            id: record.id,
            name: record.name.clone(),
            project: record.project.name.to_string(),
            root: HostPath(record.project.root.clone()),
            state: if live { EnvState::Running } else { EnvState::Stopped },
            runtime: record.runtime().to_owned(),
            created_at: record.created_at,
            from: record.options.from.clone(),
            processes,
            url: self.url(record),
        })
    }

    /// Commands that run in an environment now.
    pub(crate) async fn commands(&self, id: Uuid) -> Vec<Process> {
        let Some(live) = self.sandboxes.live(id) else { return Vec::new() };
        let listed = live.guest.list(false).await.unwrap_or_default();
        let command = |p: atelier_guest::wire::ProcessInfo| Process {
            pid: p.pid,
            command: std::iter::once(p.config.cmd).chain(p.config.args).collect(),
        };
        listed.into_iter().map(command).collect()
    }

    /// Where the environment's web server is reached from this machine.
    pub(crate) fn url(&self, record: &Record) -> Option<String> {
        let port = self.ingress?;
        Some(format!("http://{}.{}.localhost:{port}", record.name, record.project.name))
    }

    /// The guest of an environment, and a port inside: the one asked for, the project's main port, or
    /// the only one that is listened on.
    ///
    /// # Errors
    /// `env.not_found`; `port.not_open` when nothing listens.
    pub async fn place(
        &self,
        env: &str,
        project: &str,
        port: Option<u16>,
    ) -> Result<(Guest, u16), Problem> {
        let row = store::environment_by_host(&self.store, project, env).await?;
        let Some(record) = row.and_then(|row| row.record) else {
            let name = env.parse().map_err(|e: atelier_api::BadName| Problem::from(e))?;
            return Err(no_environment(&name, project, &[]));
        };
        let closed = |why: &str| {
            let detail = format!("{why} in the environment {env}");
            Problem::new("port.not_open", atelier_api::ExitCode::Engine, detail)
        };
        let live = self.sandboxes.live(record.id).ok_or_else(|| closed("nothing runs"))?;
        live.touch();
        let port = match port.or(record.port) {
            Some(port) => port,
            None => {
                let ports = ports(&live).await;
                *ports.first().ok_or_else(|| closed("nothing listens"))?
            }
        };
        Ok((live.guest, port))
    }
}

/// TCP ports that are listened on inside, in order.
async fn ports(live: &Live) -> Vec<u16> {
    let listening = live.guest.listening().await.unwrap_or_default();
    let ports: std::collections::BTreeSet<u16> = listening.into_iter().map(|p| p.port).collect();
    ports.into_iter().collect()
}

fn layering(mode: &Mode) -> &'static str {
    match mode {
        Mode::Overlay { .. } => "overlay",
        Mode::Copy { .. } => "copy",
    }
}

/// What of the project could not come along.
fn skipped(record: &Record) -> Vec<String> {
    let note = |s: &Skipped| format!("{} did not come along: {}", s.path, s.why);
    record.workspace.skipped.iter().map(note).collect()
}
