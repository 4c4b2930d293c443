//! `atelier env seed`: data that the services of new environments start with.

use atelier_api::Name;
use atelier_api::seed::{
    Seed, SeedList, SeedListInput, SeedRef, SeedRemove, SeedSave, SeedSaveInput,
};
use clap::{Args, Subcommand};

use crate::args::{EnvArg, ListArgs, ProjectArgs, name};
use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size};

const EXAMPLES: &str = "\
Examples:
  atelier env seed save demo main
  atelier run agent-1 --data-from demo -- claude";

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum SeedCommand {
    /// Keep an environment's data under a name
    #[command(after_help = EXAMPLES)]
    Save(SaveArgs),
    /// List the project's seeds
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Remove seeds; environments that started with them keep their data
    #[command(visible_alias = "remove")]
    Rm(RmArgs),
}

/// Arguments of `atelier env seed save`.
#[derive(Debug, Args)]
pub(crate) struct SaveArgs {
    /// The seed's name
    #[arg(value_name = "NAME", value_parser = name)]
    pub seed: Name,
    #[command(flatten)]
    pub env: EnvArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `atelier env seed ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub list: ListArgs,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// Arguments of `atelier env seed rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The seeds' names
    #[arg(value_name = "NAME", value_parser = name, required = true)]
    pub seeds: Vec<Name>,
    #[command(flatten)]
    pub removal: Removal,
    #[command(flatten)]
    pub project: ProjectArgs,
}

impl SeedCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Save(args) => args.json,
            Self::Ls(args) => args.list.json,
            Self::Rm(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &SeedCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        SeedCommand::Save(args) => save(args, context),
        SeedCommand::Ls(args) => list(args, context),
        SeedCommand::Rm(args) => remove(args, context),
    }
}

fn save(args: &SaveArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let from = args.env.reference(context)?;
    let input = SeedSaveInput { seed: args.seed.clone(), env: from.env, project: from.project };
    let saved = context.call_slowly::<SeedSave>(&format!("saving {}", args.seed), &input)?;
    if args.json {
        print_json(&saved)?;
    } else {
        let mut parts: Vec<String> = saved.volumes;
        parts.extend(saved.dumps.iter().map(|service| format!("{service} (by its own tool)")));
        let (parts, bytes) = (parts.join(", "), size(saved.size_bytes));
        print(format!("saved {} from {}: {parts} ({bytes})\n", saved.name, saved.env))?;
    }
    Ok(0)
}

fn list(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let project = context.project(args.project.project.as_deref())?;
    let found = context.call::<SeedList>(&SeedListInput { project })?;
    let head = ["NAME", "FROM", "VOLUMES", "DUMPS", "SIZE", "AGE"];
    args.list.show(found, |seed| seed.name.to_string(), head, row)
}

fn row(seed: Seed) -> [String; 6] {
    let listed = |all: Vec<String>| if all.is_empty() { "-".to_owned() } else { all.join(", ") };
    [
        seed.name.to_string(),
        seed.env.to_string(),
        listed(seed.volumes),
        listed(seed.dumps),
        size(seed.size_bytes),
        age(seed.made_at),
    ]
}

fn remove(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let project = context.project(args.project.project.as_deref())?;
    let names: Vec<&str> = args.seeds.iter().map(Name::as_str).collect();
    let question = format!("Remove the seeds {}?", names.join(", "));
    remove_each::<SeedRemove, _>(context, &args.removal, &question, args.seeds.clone(), |seed| {
        SeedRef { seed, project: project.clone() }
    })
}
