//! `atelier sandbox fs rm`: files and folders go.

use atelier_client::guest::wire::FileType;
use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier sandbox fs rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// What is to go
    #[arg(value_name = "PATH", required = true)]
    pub paths: Vec<String>,
    /// Remove folders with everything in them
    #[arg(short, long)]
    pub recursive: bool,
    /// That something is not there is fine
    #[arg(short, long)]
    pub force: bool,
}

/// Removes them.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    with_guest(context, &args.at, async |guest| {
        for path in &args.paths {
            let entry = match guest.stat(path).await {
                Ok(entry) => entry,
                Err(error) if args.force && is_absent(&error) => continue,
                Err(error) => return Err(error.into()),
            };
            let folder = entry.kind == FileType::Directory && entry.symlink_target.is_none();
            if folder && !args.recursive {
                let why = format!("{path} is a folder; --recursive removes it with all in it");
                return Err(Failure::usage(why));
            }
            guest.remove(path).await?;
        }
        Ok(0)
    })
}

fn is_absent(error: &atelier_client::guest::client::GuestError) -> bool {
    error.connect_code() == Some(atelier_client::guest::wire::Code::NotFound)
}
