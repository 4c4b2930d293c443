//! What the Compose files of an environment may ask of this machine: as much as the project's own, which the
//! user wrote. Commands inside can change theirs, and the engine has powers that those commands have not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_compose::{Model, asks};

use crate::error::broken;
use crate::record::Record;
use crate::workshop::Workshop;

/// What is asked that a refusal names.
const SHOWN: usize = 8;

impl Workshop {
    /// Refuses services that ask for more than the project's own files do.
    pub(super) async fn trusted(
        self: &Arc<Self>,
        record: &Record,
        tree: &Path,
        model: &Model,
        profiles: &[String],
    ) -> Result<(), Problem> {
        let asked = asks_of(model.clone(), tree.to_owned()).await?;
        if asked.is_empty() {
            return Ok(());
        }
        let root = &record.project.root;
        let granted = match self.load_services(record, root, profiles).await {
            Ok(own) => asks_of(own, root.clone()).await?,
            Err(problem) => {
                tracing::info!(%problem, env = record.label(), "the project's own files say nothing");
                BTreeSet::new()
            }
        };
        let beside = |place: &Path| place.parent().map(|p| p.display().to_string());
        let known = |ask: &str| {
            // `../data` is beside the project, wherever its copy lies.
            let there = match (beside(tree), beside(root)) {
                (Some(tree), Some(root)) => ask.replace(&tree, &root),
                _ => ask.to_owned(),
            };
            granted.contains(ask) || granted.contains(&there)
        };
        let more: Vec<String> = asked.into_iter().filter(|ask| !known(ask)).collect();
        if more.is_empty() { Ok(()) } else { Err(refusal(record, &more)) }
    }
}

/// It looks at files, which may lie on a slow disk.
async fn asks_of(model: Model, folder: PathBuf) -> Result<BTreeSet<String>, Problem> {
    let looked = tokio::task::spawn_blocking(move || asks(&model, &folder));
    looked.await.map_err(|e| broken(&e))
}

fn refusal(record: &Record, more: &[String]) -> Problem {
    let mut named = more.iter().take(SHOWN).cloned().collect::<Vec<_>>().join("; ");
    if more.len() > SHOWN {
        named.push_str(&format!("; and {} more", more.len() - SHOWN));
    }
    let name = &record.name;
    let detail = format!(
        "the Compose files of {} ask more of this machine than the project's own: {named}",
        record.label()
    );
    Problem::new("env.asks_more", ExitCode::NotPermitted, detail)
        .hint(format!("see who changed them: atelier env diff {name}"))
        .hint(format!("if you want that: atelier env up --trust {name}"))
        .hint("commands go without services: atelier run --no-up")
}
