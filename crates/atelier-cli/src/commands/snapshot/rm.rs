//! `atelier snapshot rm`: snapshots go; sandboxes made from them stay.

use atelier_api::sandbox::{SnapshotRef, SnapshotRemove};
use clap::Args;

use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier snapshot rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The snapshots: names or ids
    #[arg(value_name = "SNAPSHOT", required = true)]
    pub snapshots: Vec<String>,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, as many as can be.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let question = format!("Remove the snapshots {}?", args.snapshots.join(", "));
    let names = args.snapshots.clone();
    remove_each::<SnapshotRemove, _>(context, &args.removal, &question, names, |snapshot| {
        SnapshotRef { snapshot }
    })
}
