//! `atelier sandbox rm`: sandboxes go, with everything in them.

use atelier_api::sandbox::{SandboxList, SandboxListInput, SandboxRemove, SandboxRemoveInput};
use clap::Args;

use super::ls::called;
use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The sandboxes: names, ids, or beginnings of ids
    #[arg(value_name = "SANDBOX", required_unless_present = "all")]
    pub sandboxes: Vec<String>,
    /// Every sandbox
    #[arg(short, long, conflicts_with = "sandboxes")]
    pub all: bool,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, as many as can be: the exit code is that of the first that cannot.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let sandboxes = if args.all {
        let found = context.call::<SandboxList>(&SandboxListInput::default())?;
        found.iter().map(|one| called(one).to_owned()).collect()
    } else {
        args.sandboxes.clone()
    };
    let question = format!("Remove {}, with everything in it?", sandboxes.join(", "));
    remove_each::<SandboxRemove, _>(context, &args.removal, &question, sandboxes, |sandbox| {
        SandboxRemoveInput { sandbox }
    })
}
