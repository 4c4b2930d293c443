//! A project of this machine and a far host: what goes there, and how changes come back.

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use atelier_api::env::{Applied, EnvApplyInput};
use atelier_api::{ExitCode, Problem};
use atelier_config::Home;
use atelier_environment::{ApplyOptions, Project};

/// The file beside fetched changes that says whose they are: the project's folder.
const PROJECT: &str = "project";

/// What goes there. An apply that was killed half way is taken back first: half of it must not travel.
pub(crate) fn travelling(project: Project, home: &Home) -> Result<atelier_far::Project, Problem> {
    for folder in fetched(home) {
        let of = fs::read(folder.join(PROJECT)).unwrap_or_default();
        if of == project.root.as_os_str().as_bytes() {
            let workspace = atelier_environment::carried(&folder, &project);
            atelier_environment::recover_apply(&workspace, &project)?;
        }
    }
    let ignored = atelier_environment::left_out(&project, home)?;
    let outside = project.git.filter(|git| !git.is_inside(&project.root));
    let repository = outside.map(|git| (git.git_dir, git.common_dir));
    Ok(atelier_far::Project { root: project.root, ignored, repository })
}

/// The folders of changes that were fetched: one for each host and environment.
fn fetched(home: &Home) -> Vec<PathBuf> {
    let below = |folder: PathBuf| {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect::<Vec<_>>()
    };
    below(home.far().join("changes")).into_iter().flat_map(below).collect()
}

/// Applies changes that were fetched into `folder`.
pub(crate) fn bring_back(
    project: &Project,
    folder: &Path,
    input: &EnvApplyInput,
) -> Result<Applied, Problem> {
    let note = folder.join(PROJECT);
    fs::write(&note, project.root.as_os_str().as_bytes()).map_err(|e| {
        let detail = format!("{} cannot be written: {e}", note.display());
        Problem::new("far.file", ExitCode::Failed, detail)
    })?;
    let workspace = atelier_environment::carried(folder, project);
    // What git ignores was left out where the changes come from.
    let options = ApplyOptions { all: true, dry_run: input.dry_run, ..ApplyOptions::default() };
    let done = atelier_environment::apply(&workspace, project, &options)?;
    Ok(atelier_run::applied(done, false))
}
