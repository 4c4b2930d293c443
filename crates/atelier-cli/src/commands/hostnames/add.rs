//! `atelier hostnames add`: a further name of a service.

use atelier_api::hostname::{HostnamesAdd, HostnamesAddInput};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier hostnames add`.
#[derive(Debug, Args)]
pub(crate) struct AddArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// The service
    #[arg(value_name = "SERVICE")]
    pub service: String,
    /// The name: admin stands for admin.ENV.test, and www.shop.test for itself
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Adds it.
pub(crate) fn run(args: &AddArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let added = context.call::<HostnamesAdd>(&HostnamesAddInput {
        env: reference.env,
        project: reference.project,
        service: args.service.clone(),
        name: args.name.clone(),
    })?;
    if args.json {
        print_json(&added)?;
    } else {
        let when = if added.up { "" } else { " when it is up" };
        print(format!("{} leads to {}{when}\n", added.name, added.service))?;
    }
    Ok(0)
}
