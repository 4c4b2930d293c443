//! A project's Compose files in an environment: found, read, written anew.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use atelier_api::{ExitCode, Name, Problem};
use atelier_compose::{Model, Request};
use atelier_environment::{Config, Project};
use atelier_files::whole;

use crate::error::broken;
use crate::record::Record;
use crate::workshop::Workshop;

/// The complete file that the services are run from, in the environment's folder.
const FILE: &str = "compose.json";

/// What of a project says how to find its services.
pub(crate) fn request(config: &Config, tree: &Path, profiles: &[String]) -> Request {
    let inside = |files: &[PathBuf]| files.iter().map(|file| tree.join(file)).collect();
    let mut all = config.services.profiles.clone();
    all.extend(profiles.iter().cloned());
    Request {
        folder: tree.to_owned(),
        files: inside(&config.services.files),
        env_files: inside(&config.services.env_files),
        profiles: all,
        ..Request::default()
    }
}

/// Whether a folder is a project with services.
pub(crate) fn has_services(config: &Config, root: &Path) -> bool {
    config.services.start
        && atelier_compose::find(&request(config, root, &[])).is_ok_and(|f| f.is_some())
}

impl Workshop {
    /// Reads the Compose files of an environment as they are there.
    pub(crate) async fn load_services(
        self: &Arc<Self>,
        record: &Record,
        tree: &Path,
        profiles: &[String],
    ) -> Result<Model, Problem> {
        let loader = self.driver.loader().await?;
        let config = Config::load(tree)?;
        let mut request = request(&config, tree, profiles);
        request.project_name = record.project.name.to_string().to_ascii_lowercase();
        request.variables = record.options.variables.clone();
        request.variables.extend(self.tokens(record));
        if atelier_compose::find(&request)?.is_none() {
            return Err(no_services(record));
        }
        let models = self.driver.models.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<Model, Problem> {
            Ok(models.load(&loader, &request)?)
        });
        read.await.map_err(|e| broken(&e))?
    }

    /// What commands, environment files and Compose files find about their environment.
    pub(crate) fn tokens(&self, record: &Record) -> Vec<(String, String)> {
        self.tokens_of(&record.project, &record.name)
    }

    /// The same for an environment that is about to be made.
    pub(crate) fn tokens_of(&self, project: &Project, env: &Name) -> Vec<(String, String)> {
        let suffix = &self.driver.settings.suffix;
        let base = format!("http://{}.{env}.{suffix}", project.name);
        let each = [
            ("PROJECT", project.name.to_string()),
            ("ENV", env.to_string()),
            ("DNS_SUFFIX", suffix.clone()),
            ("BASE_URL", base),
        ];
        let both = |(name, value): (&str, String)| {
            [(format!("ATELIER_{name}"), value.clone()), (format!("CILO_{name}"), value)]
        };
        each.into_iter().flat_map(both).collect()
    }

    /// Where the complete file of an environment lies.
    pub(crate) fn compose_file(&self, record: &Record) -> PathBuf {
        self.folder(record.id).join(FILE)
    }
}

/// Writes a file that may hold what containers must know and others must not.
pub(crate) fn write_private(path: &Path, value: &serde_json::Value) -> Result<(), Problem> {
    let write = || -> std::io::Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        whole::replace(path, &serde_json::to_vec_pretty(value)?, whole::PRIVATE)
    };
    write().map_err(|e| {
        let detail = format!("{} can't be written: {e}", path.display());
        Problem::new("home.unusable", ExitCode::Configuration, detail)
            .hint("check that ATELIER_HOME is writable and that its disk is not full")
    })
}

fn no_services(record: &Record) -> Problem {
    let detail = format!("{} has no Compose files", record.label());
    Problem::new("env.no_services", ExitCode::NotFound, detail)
        .hint(
            "add a compose.yaml to the project, or name the files in atelier.yaml: services.files",
        )
        .hint(
            "files that were added after the environment was made come in with 'atelier env sync'",
        )
}
