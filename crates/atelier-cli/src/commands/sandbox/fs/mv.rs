//! `atelier sandbox fs mv`: another name for a file or a folder.

use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox fs mv`.
#[derive(Debug, Args)]
pub(crate) struct MvArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// What it is called
    #[arg(value_name = "FROM")]
    pub from: String,
    /// What it is called from now on: not a folder to put it into
    #[arg(value_name = "TO")]
    pub to: String,
}

/// Renames it.
pub(crate) fn run(args: &MvArgs, context: &Context<'_>) -> Result<u8, Failure> {
    with_guest(context, &args.at, async |guest| {
        guest.rename(&args.from, &args.to).await?;
        Ok(0)
    })
}
