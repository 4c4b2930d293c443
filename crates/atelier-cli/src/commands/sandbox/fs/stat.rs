//! `atelier sandbox fs stat`: what is at a path.

use atelier_client::guest::wire::{EntryInfo, FileType};
use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, size, visible};

/// Arguments of `atelier sandbox fs stat`.
#[derive(Debug, Args)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// The path; relative ones begin at the user's home
    #[arg(value_name = "PATH")]
    pub path: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &StatArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let entry = with_guest(context, &args.at, async |guest| Ok(guest.stat(&args.path).await?))?;
    if args.json {
        print_json(&entry)?;
    } else {
        print(text(&entry))?;
    }
    Ok(0)
}

fn text(entry: &EntryInfo) -> String {
    let kind = match entry.kind {
        FileType::File => "file",
        FileType::Directory => "folder",
        FileType::Symlink => "link",
        FileType::Unspecified => "something else",
    };
    let mut lines = vec![
        ("path", entry.path.clone()),
        ("kind", kind.to_owned()),
        ("size", size(entry.size.unwrap_or(0))),
        ("mode", entry.permissions.clone()),
        ("owner", format!("{}:{}", entry.owner, entry.group)),
    ];
    if let Some(time) = &entry.modified_time {
        lines.push(("modified", time.clone()));
    }
    if let Some(target) = &entry.symlink_target {
        lines.push(("leads to", target.clone()));
    }
    lines.iter().map(|(name, value)| format!("{name:<10}{}\n", visible(value))).collect()
}
