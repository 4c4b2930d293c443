//! `atelier snapshot ls`: the snapshots there are.

use atelier_api::sandbox::{Snapshot, SnapshotList, SnapshotListInput};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, table};

/// Arguments of `atelier snapshot ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only those of this sandbox
    #[arg(long, value_name = "SANDBOX")]
    pub sandbox: Option<String>,
    /// Only names and ids, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let input = SnapshotListInput { sandbox: args.sandbox.clone() };
    let found = context.call::<SnapshotList>(&input)?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        let line = |one: &Snapshot| format!("{}\n", one.name.as_ref().unwrap_or(&one.id));
        print(found.iter().map(line).collect::<String>())?;
    } else {
        let rows: Vec<_> = found.into_iter().map(row).collect();
        print(table(["ID", "NAME", "SANDBOX", "RUNTIME", "KEEPS", "SIZE", "AGE"], &rows))?;
    }
    Ok(0)
}

fn row(one: Snapshot) -> [String; 7] {
    [
        one.id,
        one.name.unwrap_or_else(|| "-".to_owned()),
        one.sandbox.chars().take(12).collect(),
        one.runtime,
        if one.memory { "memory and files" } else { "files" }.to_owned(),
        size(one.size_bytes),
        age(one.created_at),
    ]
}
