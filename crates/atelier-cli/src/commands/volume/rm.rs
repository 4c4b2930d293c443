//! `atelier volume rm`: volumes go with everything in them.

use atelier_api::volume::{VolumeRef, VolumeRemove};
use clap::Args;

use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier volume rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The volumes: names or ids
    #[arg(value_name = "VOLUME", required = true)]
    pub volumes: Vec<String>,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, as many as can be.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let names = args.volumes.join(", ");
    let question = format!("Remove the volumes {names} with everything in them?");
    let each = args.volumes.clone();
    remove_each::<VolumeRemove, _>(context, &args.removal, &question, each, |volume| VolumeRef {
        volume,
    })
}
