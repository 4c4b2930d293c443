//! `atelier sandbox fs mkdir`: new folders.

use atelier_client::guest::wire::Code;
use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox fs mkdir`.
#[derive(Debug, Args)]
pub(crate) struct MkdirArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// The folders; those above them are made as well
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// That one is there already is fine
    #[arg(short, long)]
    pub parents: bool,
}

/// Makes them.
pub(crate) fn run(args: &MkdirArgs, context: &Context<'_>) -> Result<u8, Failure> {
    with_guest(context, &args.at, async |guest| {
        for path in &args.paths {
            match guest.make_dir(path).await {
                Err(error) if args.parents && error.connect_code() == Some(Code::AlreadyExists) => {
                }
                other => drop(other?),
            }
        }
        Ok(0)
    })
}
