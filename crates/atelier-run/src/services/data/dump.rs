//! Data that a service's own tool writes out and reads in.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_compose::{Generated, ServicePlan};
use atelier_engine::{Container, Engine, Finished, State};
use tokio::sync::mpsc::channel;

use super::super::record::ServicesRecord;
use super::super::up::Rise;
use super::super::{ENVIRONMENT, wait};
use super::source::{Dump, Source};
use super::{SERVICE, archive};
use crate::workshop::Workshop;

/// Pieces that wait between the engine and the disk.
const WAITING: usize = 16;

/// A service with the file that it reads in. A file of ours goes with it.
pub(super) struct Written {
    service: ServicePlan,
    file: PathBuf,
    ours: bool,
}

impl Drop for Written {
    fn drop(&mut self) {
        if self.ours {
            let _ = fs::remove_file(&self.file);
        }
    }
}

impl Workshop {
    /// Has services written out into files of the folder.
    pub(super) async fn write_dumps(
        &self,
        engine: &Engine,
        source: &Source,
        services: &[ServicePlan],
        folder: &Path,
    ) -> Result<Vec<Written>, Problem> {
        let mut all = Vec::new();
        for service in services {
            let service = service.clone();
            match source.dump(&service.name) {
                None => {}
                Some(Dump::File(file)) => all.push(Written { service, file, ours: false }),
                Some(Dump::Now { container, command }) => {
                    let file = folder.join(format!("dump-{}.zst", service.name));
                    // A kill may have left one.
                    let _ = fs::remove_file(&file);
                    let written = Written { service, file, ours: true };
                    write(engine, container, command, &written.file).await?;
                    all.push(written);
                }
            }
        }
        Ok(all)
    }

    /// Starts the services, before any other, and has them read in what was written.
    pub(super) async fn read_dumps(
        self: &Arc<Self>,
        rise: &Rise<'_>,
        file: &Path,
        plan: &Generated,
        services: &ServicesRecord,
        dumps: &[Written],
    ) -> Result<(), Problem> {
        if dumps.is_empty() {
            return Ok(());
        }
        let only: Vec<String> = dumps.iter().map(|dump| dump.service.name.clone()).collect();
        let (tree, model) = (rise.tree.clone(), rise.model.clone());
        let first = Rise { tree, model, only: &only, ..*rise };
        self.start_all(&first, &services.scope, file, plan).await?;
        let own = format!("{ENVIRONMENT}={}", rise.record.id);
        wait::well(rise.engine, &own, services, self.limit(rise.options)).await?;
        for dump in dumps {
            read(rise.engine, &own, dump).await?;
        }
        Ok(())
    }
}

/// Has one service written out; gives the size.
pub(super) async fn write(
    engine: &Engine,
    container: &Container,
    command: &str,
    file: &Path,
) -> Result<u64, Problem> {
    let (sender, pieces) = channel(WAITING);
    let words = ["sh", "-c", command];
    let (written, ended) = tokio::join!(
        archive::write_pieces(file, pieces),
        engine.exec(&container.id, &words, None, Some(sender)),
    );
    let written = written?;
    let ended = ended?;
    if ended.code == 0 {
        return Ok(written);
    }
    Err(failed("env.dump_failed", "be written out", &container.service, &ended)
        .hint("mend the command in its label atelier.dump"))
}

async fn read(engine: &Engine, own: &str, dump: &Written) -> Result<(), Problem> {
    let service = &dump.service.name;
    let labels = [own.to_owned(), format!("{SERVICE}={service}")];
    let mut containers = engine.containers(&labels).await?;
    containers.retain(|container| container.state == State::Running);
    let (Some(container), Some(command)) = (containers.first(), &dump.service.restore) else {
        let detail = format!("the service {service} does not run, so it can't read its data in");
        return Err(Problem::new("env.restore_failed", ExitCode::Engine, detail));
    };
    let input = archive::read(dump.file.clone());
    let words = ["sh", "-c", command.as_str()];
    let ended = engine.exec(&container.id, &words, Some(input), None).await?;
    if ended.code == 0 {
        return Ok(());
    }
    Err(failed("env.restore_failed", "be read in", service, &ended)
        .hint("mend the command in its label atelier.restore"))
}

fn failed(code: &'static str, what: &str, service: &str, ended: &Finished) -> Problem {
    let said = if ended.said.is_empty() { "it said nothing" } else { &ended.said };
    let detail = format!(
        "the data of the service {service} could not {what}: the command ended with {}; {said}",
        ended.code
    );
    Problem::new(code, ExitCode::Engine, detail)
}
