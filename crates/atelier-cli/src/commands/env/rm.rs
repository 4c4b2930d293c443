//! `atelier env rm`: environments go, with everything that was not applied.

use std::collections::BTreeMap;

use atelier_api::env::{EnvList, EnvListInput, EnvRemove, EnvRemoveInput, Removed};
use atelier_api::{HostPath, Name, Problem};
use atelier_client::ControlPlane;
use clap::Args;

use crate::args::{ProjectArgs, name};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, print, print_json, size};

/// Arguments of `atelier env rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The environments' names
    #[arg(value_name = "NAME", value_parser = name, required_unless_present = "all")]
    pub names: Vec<Name>,
    /// Every environment of the project
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// Remove them although commands run in them
    #[arg(short, long)]
    pub force: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// Removes them, as many as can be: the exit code is that of the first that cannot.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let project = context.project(args.project.project.as_deref())?;
    let plane = context.control_plane()?;
    let names = names(args, context, &plane, &project)?;
    if names.is_empty() || !(args.yes || agreed(&names)?) {
        return Ok(0);
    }
    let (removed, problems) =
        context.wait(async { Ok(remove(args, &plane, &project, names).await) })?;
    if args.json {
        print_json(&removed)?;
    } else {
        let line = |(name, r): (&Name, &Removed)| {
            format!("removed {name}, {} freed\n", size(r.freed_bytes))
        };
        print(removed.iter().map(line).collect::<String>())?;
    }
    let codes: Vec<_> =
        problems.into_iter().map(|problem| Failure::from(problem).report(args.json)).collect();
    codes.first().map_or(Ok(0), |code| Err(Failure::Code(*code)))
}

fn names(
    args: &RmArgs,
    context: &Context<'_>,
    plane: &ControlPlane<'_>,
    project: &HostPath,
) -> Result<Vec<Name>, Failure> {
    if !args.all {
        return Ok(args.names.clone());
    }
    let input = EnvListInput { project: Some(project.clone()) };
    let found = context.wait(async { Ok(plane.call::<EnvList>(&input).await?) })?;
    Ok(found.into_iter().map(|env| env.name).collect())
}

fn agreed(names: &[Name]) -> Result<bool, Failure> {
    let listed: Vec<_> = names.iter().map(Name::as_str).collect();
    confirm(&format!("Remove {}, with all changes that were not applied?", listed.join(", ")))
}

async fn remove(
    args: &RmArgs,
    plane: &ControlPlane<'_>,
    project: &HostPath,
    names: Vec<Name>,
) -> (BTreeMap<Name, Removed>, Vec<Problem>) {
    let (mut removed, mut problems) = (BTreeMap::new(), Vec::new());
    for env in names {
        let input =
            EnvRemoveInput { env: env.clone(), project: project.clone(), force: args.force };
        match plane.call::<EnvRemove>(&input).await {
            Ok(freed) => {
                removed.insert(env, freed);
            }
            Err(error) => problems.push(error.into()),
        }
    }
    (removed, problems)
}
