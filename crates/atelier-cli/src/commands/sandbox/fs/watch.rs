//! `atelier sandbox fs watch`: what happens in a folder, as it happens.

use atelier_client::guest::wire::{EventType, FilesystemEvent, WatchRequest};
use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, visible};

/// Arguments of `atelier sandbox fs watch`.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// The folder; relative paths begin at the user's home
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: String,
    /// With all folders below
    #[arg(short, long)]
    pub recursive: bool,
    /// Write JSON, an object on each line
    #[arg(long)]
    pub json: bool,
}

/// Follows it until it is interrupted.
pub(crate) fn run(args: &WatchArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let path = args.path.clone();
    let request = WatchRequest { path, recursive: args.recursive, ..WatchRequest::default() };
    with_guest(context, &args.at, async |guest| {
        let mut events = guest.watch(&request).await?;
        while let Some(event) = events.next().await {
            print(line(&event?, args.json)?)?;
        }
        Ok(0)
    })
}

fn line(event: &FilesystemEvent, json: bool) -> Result<String, Failure> {
    if json {
        let text = serde_json::to_string(event).map_err(std::io::Error::other)?;
        return Ok(format!("{text}\n"));
    }
    let what = match event.kind {
        EventType::Create => "created",
        EventType::Write => "written",
        EventType::Remove => "removed",
        EventType::Rename => "renamed",
        EventType::Chmod => "changed",
        EventType::Unspecified => "-",
    };
    Ok(format!("{what:<8}  {}\n", visible(&event.name)))
}
