//! `atelier init`: a commented `atelier.yaml` for this project.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use atelier_api::{ExitCode, Problem};
use clap::Args;

use crate::args::ProjectArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Arguments of `atelier init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Replace an atelier.yaml that is there
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// Writes it.
pub(crate) fn run(args: &InitArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let folder = context.here(args.project.project.as_deref())?;
    let (path, text) = context.hooks.init_template(folder.as_path())?;
    write(&path, &text, args.force).map_err(|error| failed(&path, &error))?;
    print(format!("wrote {}\n", path.display()))?;
    Ok(0)
}

fn write(path: &Path, text: &str, force: bool) -> io::Result<()> {
    let mut options = OpenOptions::new();
    options.write(true);
    if force {
        options.create(true).truncate(true)
    } else {
        options.create_new(true)
    };
    options.open(path)?.write_all(text.as_bytes())
}

fn failed(path: &Path, error: &io::Error) -> Failure {
    let shown = path.display();
    let problem = if error.kind() == io::ErrorKind::AlreadyExists {
        Problem::new("init.exists", ExitCode::Conflict, format!("{shown} is there already"))
            .hint("replace it with --force")
    } else {
        let detail = format!("{shown} cannot be written: {error}");
        Problem::new("init.failed", ExitCode::Failed, detail)
    };
    problem.into()
}
