//! `atelier env ls`: the environments there are.

use atelier_api::Environment;
use atelier_api::env::{EnvList, EnvListInput, EnvState};
use clap::Args;

use crate::args::ProjectArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, table};

/// Arguments of `atelier env ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Environments of every project
    #[arg(short, long, visible_alias = "all-projects", conflicts_with = "project")]
    pub all: bool,
    /// Only names, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let project = match args.all {
        true => None,
        false => Some(context.project(args.project.project.as_deref())?),
    };
    let plane = context.control_plane()?;
    let input = EnvListInput { project };
    let found = context.wait(async { Ok(plane.call::<EnvList>(&input).await?) })?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        print(found.iter().map(|env| format!("{}\n", env.name)).collect::<String>())?;
    } else {
        let rows: Vec<_> = found.into_iter().map(row).collect();
        print(table(["NAME", "PROJECT", "STATE", "AGE", "FROM", "COMMANDS", "URL"], &rows))?;
    }
    Ok(0)
}

fn row(env: Environment) -> [String; 7] {
    [
        env.name.to_string(),
        env.project,
        state(env.state).to_owned(),
        age(env.created_at),
        env.from.unwrap_or_else(|| "folder".to_owned()),
        env.processes.to_string(),
        env.url.unwrap_or_else(|| "-".to_owned()),
    ]
}

/// A state's word, as the API has it.
pub(super) const fn state(state: EnvState) -> &'static str {
    match state {
        EnvState::Creating => "creating",
        EnvState::Stopped => "stopped",
        EnvState::Running => "running",
        EnvState::Removing => "removing",
    }
}
