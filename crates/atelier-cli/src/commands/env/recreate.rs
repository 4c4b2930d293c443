//! `atelier env recreate`: an environment, made anew under its name.

use atelier_api::env::{EnvRecreate, EnvRecreateInput};
use clap::Args;

use crate::args::{EnvArg, source};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier env recreate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Its files are the project's as they are now, its services begin with fresh data, and `init` \
                        runs again. Whatever fails, the environment is as it was."
)]
pub(crate) struct RecreateArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// From this commit, branch, tag or folder, instead of what it was made from
    #[arg(long, value_name = "REF|FOLDER")]
    pub from: Option<String>,
    /// Keep what the volumes of its services hold
    #[arg(long)]
    pub keep_data: bool,
    /// Lose changes that were not applied, and end commands that run
    #[arg(short, long)]
    pub force: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes it anew.
pub(crate) fn run(args: &RecreateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let folder = context.here(args.env.project.project.as_deref())?;
    let project = context.sent(folder.as_path(), false)?;
    let input = EnvRecreateInput {
        env: args.env.env.clone(),
        project,
        from: args.from.as_deref().map(source).transpose()?,
        keep_data: args.keep_data,
        force: args.force,
    };
    let made = context.call_slowly::<EnvRecreate>("making it anew", &input)?;
    if args.json {
        print_json(&made)?;
    } else {
        print(format!("made {} of {} anew\n", made.name, made.project))?;
    }
    Ok(0)
}
