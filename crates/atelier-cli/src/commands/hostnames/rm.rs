//! `atelier hostnames rm`: a further name goes.

use atelier_api::hostname::{HostnamesRemove, HostnamesRemoveInput};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier hostnames rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// The name, bare or whole
    #[arg(value_name = "NAME")]
    pub name: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Takes it away.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let reference = args.env.reference(context)?;
    let removed = context.call::<HostnamesRemove>(&HostnamesRemoveInput {
        env: reference.env,
        project: reference.project,
        name: args.name.clone(),
    })?;
    if args.json {
        print_json(&removed)?;
    } else {
        print(format!("{} leads to {} no longer\n", removed.name, removed.service))?;
    }
    Ok(0)
}
