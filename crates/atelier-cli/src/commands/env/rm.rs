//! `atelier env rm`: environments go, with everything that was not applied.

use std::collections::BTreeMap;

use atelier_api::env::{
    EnvList, EnvListInput, EnvRef, EnvRemove, EnvRemoveInput, EnvUnapplied, Removed,
};
use atelier_api::{Name, Problem};
use atelier_client::ControlPlane;
use clap::Args;

use crate::args::{ProjectArgs, name};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, count, print, print_json, size};

/// Arguments of `atelier env rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The environments' names
    #[arg(value_name = "NAME", value_parser = name, required_unless_present = "all")]
    pub names: Vec<Name>,
    /// Every environment of the project
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// With --all: of every project
    #[arg(long, requires = "all", conflicts_with = "project")]
    pub all_projects: bool,
    /// Keep the files: only services with their data, networks, names and the sandbox go
    #[arg(long)]
    pub keep_workspace: bool,
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

/// What is to be removed, under the name that the user reads.
type Chosen = Vec<(String, EnvRef)>;

/// Removes them, as many as can be: the exit code is that of the first that cannot.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let chosen = chosen(args, context, &plane)?;
    if chosen.is_empty() || !(args.yes || agreed(args, context, &plane, &chosen)?) {
        return Ok(0);
    }
    let (removed, problems) = context.wait(async { Ok(remove(args, &plane, chosen).await) })?;
    if args.json {
        print_json(&removed)?;
    } else {
        let line = |(name, r): (&String, &Removed)| match args.keep_workspace {
            true => format!("removed the services of {name}; its files are kept\n"),
            false => format!("removed {name}, {} freed\n", size(r.freed_bytes)),
        };
        print(removed.iter().map(line).collect::<String>())?;
    }
    let codes: Vec<_> =
        problems.into_iter().map(|problem| Failure::from(problem).report(args.json)).collect();
    codes.first().map_or(Ok(0), |code| Err(Failure::Code(*code)))
}

fn chosen(
    args: &RmArgs,
    context: &Context<'_>,
    plane: &ControlPlane<'_>,
) -> Result<Chosen, Failure> {
    let project = match args.all_projects {
        true => None,
        false => Some(context.project(args.project.project.as_deref())?),
    };
    if let (false, Some(project)) = (args.all, &project) {
        let one =
            |env: &Name| (env.to_string(), EnvRef { env: env.clone(), project: project.clone() });
        return Ok(args.names.iter().map(one).collect());
    }
    let input = EnvListInput { project };
    let found = context.wait(async { Ok(plane.call::<EnvList>(&input).await?) })?;
    let one = |env: atelier_api::Environment| {
        let shown = match args.all_projects {
            true => format!("{}/{}", env.project, env.name),
            false => env.name.to_string(),
        };
        (shown, EnvRef { env: env.name, project: env.root })
    };
    Ok(found.into_iter().map(one).collect())
}

/// Asks once, with what would be lost.
fn agreed(
    args: &RmArgs,
    context: &Context<'_>,
    plane: &ControlPlane<'_>,
    chosen: &Chosen,
) -> Result<bool, Failure> {
    let listed: Vec<_> = chosen.iter().map(|(name, _)| name.as_str()).collect();
    let listed = listed.join(", ");
    if args.keep_workspace {
        return confirm(&format!("Remove the services of {listed}, with their data?"));
    }
    let mut lost = Vec::new();
    for (name, env) in chosen {
        // One that can't be looked at is removed all the same if the user says so.
        let found = context.wait(async { Ok(plane.call::<EnvUnapplied>(env).await.ok()) })?;
        let changes = found.map_or(0, |found| found.changes.len());
        if changes > 0 {
            lost.push(format!("{name} ({})", count(changes, "change")));
        }
    }
    confirm(&match lost.is_empty() {
        true => format!("Remove {listed}? Nothing in there waits to be applied."),
        false => {
            format!("Remove {listed}? Changes that were not applied are lost: {}.", lost.join(", "))
        }
    })
}

async fn remove(
    args: &RmArgs,
    plane: &ControlPlane<'_>,
    chosen: Chosen,
) -> (BTreeMap<String, Removed>, Vec<Problem>) {
    let (mut removed, mut problems) = (BTreeMap::new(), Vec::new());
    for (name, EnvRef { env, project }) in chosen {
        let (force, keep_workspace) = (args.force, args.keep_workspace);
        let input = EnvRemoveInput { env, project, force, keep_workspace };
        match plane.call::<EnvRemove>(&input).await {
            Ok(freed) => {
                removed.insert(name, freed);
            }
            Err(error) => problems.push(error.into()),
        }
    }
    (removed, problems)
}
