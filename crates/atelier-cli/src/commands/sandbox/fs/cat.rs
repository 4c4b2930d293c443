//! `atelier sandbox fs cat`: what files hold.

use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Arguments of `atelier sandbox fs cat`.
#[derive(Debug, Args)]
pub(crate) struct CatArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// The files; relative paths begin at the user's home
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
}

/// Writes it.
pub(crate) fn run(args: &CatArgs, context: &Context<'_>) -> Result<u8, Failure> {
    with_guest(context, &args.at, async |guest| {
        for path in &args.paths {
            let mut file = guest.open_file(path).await?;
            while let Some(piece) = file.next().await {
                print(piece?)?;
            }
        }
        Ok(0)
    })
}
