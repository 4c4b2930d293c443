//! `atelier volume ls`: the volumes there are.

use atelier_api::system::Nothing;
use atelier_api::volume::{Volume, VolumeList};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, table};

/// Arguments of `atelier volume ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only names, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<VolumeList>(&Nothing {})?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        print(found.iter().map(|one| format!("{}\n", one.name)).collect::<String>())?;
    } else {
        let rows: Vec<_> = found.into_iter().map(row).collect();
        print(table(["NAME", "ID", "SANDBOXES", "AGE"], &rows))?;
    }
    Ok(0)
}

fn row(one: Volume) -> [String; 4] {
    let id = one.id.chars().take(12).collect();
    [one.name, id, one.sandboxes.len().to_string(), age(one.created_at)]
}
