//! `atelier man`: manual pages, one for each command.

use std::fs;
use std::path::PathBuf;

use atelier_api::{ExitCode, Problem};
use clap::{Args, CommandFactory};
use clap_mangen::Man;

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print};

/// Arguments of `atelier man`.
#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The folder for the pages of all commands; without it the first page is shown as it is
    #[arg(value_name = "FOLDER")]
    pub folder: Option<PathBuf>,
}

/// Writes them.
pub(crate) fn run(args: &ManArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let command = Cli::command().version(context.hooks.version());
    let Some(folder) = &args.folder else {
        let mut page = Vec::new();
        Man::new(command).render(&mut page)?;
        print(page)?;
        return Ok(0);
    };
    fs::create_dir_all(folder).and_then(|()| clap_mangen::generate_to(command, folder)).map_err(
        |e| {
            let detail = format!("the pages cannot be written to {}: {e}", folder.display());
            Failure::from(Problem::new("man.failed", ExitCode::Failed, detail))
        },
    )?;
    note(&format!("wrote the manual pages to {}", folder.display()));
    Ok(0)
}
