//! `atelier sandbox fs write`: standard input becomes a file.

use clap::Args;
use tokio::sync::mpsc;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;
use crate::inside::copy::read_stdin;

/// Arguments of `atelier sandbox fs write`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  echo hello | atelier sandbox fs write dev notes.txt")]
pub(crate) struct WriteArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// The file, which is replaced when it is there; folders above it are made
    #[arg(value_name = "PATH")]
    pub path: String,
}

/// Writes it.
pub(crate) fn run(args: &WriteArgs, context: &Context<'_>) -> Result<u8, Failure> {
    with_guest(context, &args.at, async |guest| {
        let (sender, receiver) = mpsc::channel(4);
        std::thread::spawn(move || read_stdin(&sender));
        guest.write_pieces(&args.path, receiver).await?;
        Ok(0)
    })
}
