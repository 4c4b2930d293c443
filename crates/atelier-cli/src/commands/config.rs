//! `atelier config`: every setting and where it comes from. The control plane is not asked.

use atelier_config::{Layer, Settings};
use clap::Args;

use crate::args::ProjectArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier config`.
#[derive(Debug, Args)]
#[command(after_help = "Flags count over ATELIER_* variables, over atelier.yaml of the project, \
                        over config.yaml of the home, over defaults.")]
pub(crate) struct ConfigArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// Shows them.
pub(crate) fn run(args: &ConfigArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let home = context.home()?;
    let folder = context.here(args.project.project.as_deref())?;
    let project = context.hooks.project_layer(folder.as_path())?;
    let env = |name: &str| std::env::var_os(name);
    let rows = Settings::load(&home, project.as_ref(), env, Layer::default())?.rows();
    if args.json {
        print_json(&rows)?;
        return Ok(0);
    }
    let cells = rows.into_iter().map(|row| [row.key.to_owned(), row.value, row.origin]);
    print(table(["KEY", "VALUE", "FROM"], &cells.collect::<Vec<_>>()))?;
    Ok(0)
}
