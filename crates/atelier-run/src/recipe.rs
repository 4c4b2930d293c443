//! What an environment's workspace is filled with: its options, and `files` of the project's settings.

use std::path::{Path, PathBuf};

use atelier_api::{EnvOptions, ExitCode, Name, Problem};
use atelier_environment::{Config, Project, Recipe, Source};
use uuid::Uuid;

use crate::record::Record;
use crate::workshop::Workshop;

/// An environment's files, planned.
pub(crate) struct Plan<'a> {
    pub(crate) id: Uuid,
    pub(crate) name: &'a Name,
    pub(crate) project: &'a Project,
    pub(crate) config: &'a Config,
    pub(crate) options: &'a EnvOptions,
}

impl<'a> Plan<'a> {
    /// For an environment that there is.
    pub(crate) const fn of(record: &'a Record, config: &'a Config) -> Self {
        let Record { id, name, project, options, .. } = record;
        Self { id: *id, name, project, config, options }
    }
}

impl Workshop {
    /// What the files of an environment are taken from.
    pub(crate) fn recipe(&self, plan: &Plan<'_>) -> Result<Recipe, Problem> {
        Ok(Recipe {
            source: source(plan.options)?,
            files: plan.config.files.clone(),
            include: plan.options.include.clone(),
            tokens: self.tokens_of(plan.project, plan.name),
        })
    }
}

/// A path is a folder; no name of git's begins with a slash.
fn source(options: &EnvOptions) -> Result<Source, Problem> {
    match &options.from {
        _ if options.empty => Ok(Source::Empty),
        None => Ok(Source::WorkingTree),
        Some(folder) if folder.starts_with('/') => self::folder(folder).map(Source::Folder),
        Some(name) => Ok(Source::Ref(name.clone())),
    }
}

fn folder(given: &str) -> Result<PathBuf, Problem> {
    let lost = |why: &str| {
        Problem::new("options.invalid", ExitCode::NotFound, format!("--from {given}: {why}"))
            .hint("name a folder that is there, or a commit, a branch or a tag")
    };
    let path = Path::new(given).canonicalize().map_err(|e| lost(&e.to_string()))?;
    if path.is_dir() && path.parent().is_some() { Ok(path) } else { Err(lost("it is no folder")) }
}
