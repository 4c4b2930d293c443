//! `atelier sandbox fs ls`: what is in a folder.

use atelier_client::guest::wire::{EntryInfo, FileType};
use clap::Args;

use super::{FsArg, with_guest};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, size, table, visible};

/// Arguments of `atelier sandbox fs ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub at: FsArg,
    /// The folder; relative paths begin at the user's home
    #[arg(value_name = "PATH", default_value = ".")]
    pub path: String,
    /// How many levels down
    #[arg(long, value_name = "LEVELS", default_value_t = 1,
          value_parser = clap::value_parser!(u32).range(1..))]
    pub depth: u32,
    /// Modes, owners, sizes and times as well
    #[arg(short, long)]
    pub long: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists it.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = with_guest(context, &args.at, async |guest| {
        Ok(guest.list_dir(&args.path, args.depth).await?)
    })?;
    if args.json {
        print_json(&found)?;
    } else if args.long {
        let rows: Vec<_> = found.iter().map(|entry| row(entry, args.depth)).collect();
        print(table(["MODE", "OWNER", "GROUP", "SIZE", "MODIFIED", "NAME"], &rows))?;
    } else {
        let line = |entry| format!("{}\n", visible(&shown(entry, args.depth)));
        print(found.iter().map(line).collect::<String>())?;
    }
    Ok(0)
}

/// A name as `ls -F` writes it; the whole path where several folders are listed.
fn shown(entry: &EntryInfo, depth: u32) -> String {
    let name = if depth > 1 { &entry.path } else { &entry.name };
    match (&entry.symlink_target, entry.kind) {
        (Some(target), _) => format!("{name} -> {target}"),
        (None, FileType::Directory) => format!("{name}/"),
        _ => name.clone(),
    }
}

fn row(entry: &EntryInfo, depth: u32) -> [String; 6] {
    [
        entry.permissions.clone(),
        entry.owner.clone(),
        entry.group.clone(),
        size(entry.size.unwrap_or(0)),
        entry.modified_time.clone().unwrap_or_else(|| "-".to_owned()),
        shown(entry, depth),
    ]
}
