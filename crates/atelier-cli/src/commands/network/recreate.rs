//! `atelier network recreate`: networks of environments, taken down and made anew.

use atelier_api::env::{EnvList, EnvListInput, EnvRef};
use atelier_api::service::{NetworkRecreate, Services};
use atelier_api::{Name, Problem};
use clap::Args;

use crate::args::{ProjectArgs, name};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};
use crate::progress::working;

/// Arguments of `atelier network recreate`.
#[derive(Debug, Args)]
#[command(
    after_help = "After a change of services.subnets, for a VPN that overlaps now, or when an engine has lost \
                        a network. Services are stopped and started again; their data stays."
)]
pub(crate) struct RecreateArgs {
    /// The environments' names
    #[arg(value_name = "ENV", value_parser = name, required_unless_present = "all")]
    pub names: Vec<Name>,
    /// Every environment of every project
    #[arg(short, long, conflicts_with_all = ["names", "project"])]
    pub all: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub project: ProjectArgs,
}

/// Makes them anew, as many as can be: the exit code is that of the first that cannot.
pub(crate) fn run(args: &RecreateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let chosen: Vec<EnvRef> = if args.all {
        let input = EnvListInput { project: None };
        let found = context.wait(async { Ok(plane.call::<EnvList>(&input).await?) })?;
        found.into_iter().map(|env| EnvRef { env: env.name, project: env.root }).collect()
    } else {
        let project = context.project(args.project.project.as_deref())?;
        let one = |env: &Name| EnvRef { env: env.clone(), project: project.clone() };
        args.names.iter().map(one).collect()
    };
    let (mut made, mut problems) = (Vec::new(), Vec::new());
    context.wait(working("making networks anew", async {
        for env in &chosen {
            match plane.call::<NetworkRecreate>(env).await {
                Ok(services) => made.push(services),
                Err(error) => problems.push(Problem::from(error)),
            }
        }
        Ok(())
    }))?;
    if args.json {
        print_json(&made)?;
    } else {
        print(made.iter().map(line).collect::<String>())?;
    }
    let codes: Vec<_> =
        problems.into_iter().map(|problem| Failure::from(problem).report(args.json)).collect();
    codes.first().map_or(Ok(0), |code| Err(Failure::Code(*code)))
}

fn line(services: &Services) -> String {
    let subnets = match services.subnets.is_empty() {
        true => "no networks".to_owned(),
        false => services.subnets.join(", "),
    };
    format!("{}/{}  {subnets}\n", services.project, services.env)
}
