//! `atelier env create`: an environment without a command yet.

use atelier_api::Name;
use atelier_api::env::{EnvCreate, EnvCreateInput};
use clap::Args;

use crate::args::{OptionArgs, ProjectArgs, name};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::variables::VariableArgs;

/// Arguments of `atelier env create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The new environment's name
    #[arg(value_name = "NAME", value_parser = name)]
    pub env: Name,
    #[command(flatten)]
    pub variables: VariableArgs,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
    #[command(flatten)]
    pub options: OptionArgs,
}

/// Makes it.
pub(crate) fn run(args: &CreateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let mut options = args.options.options()?;
    options.variables = args.variables.collect()?;
    let folder = context.here(args.project.project.as_deref())?;
    let project = context.sent(folder.as_path(), false)?;
    let input = EnvCreateInput { env: args.env.clone(), project, options };
    let plane = context.control_plane()?;
    let made = context.wait(async { Ok(plane.call::<EnvCreate>(&input).await?) })?;
    if args.json {
        print_json(&made)?;
    } else {
        print(format!("created {} of {}\n", made.name, made.project))?;
    }
    Ok(0)
}
