//! `atelier tool ls`: what is installed.

use atelier_tools::{Home, verbs};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, table};

/// Arguments of `atelier tool ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let rows = verbs::ls(&Home::below(context.home()?.root()))?;
    if args.json {
        print_json(&rows)?;
        return Ok(0);
    }
    if rows.is_empty() {
        note("no tools; `atelier tool search` shows what there is");
        return Ok(0);
    }
    let lines: Vec<_> = rows
        .iter()
        .map(|row| {
            let pinned = match (row.packages, row.unpinned) {
                (0, 0) => "-".to_owned(),
                (pinned, 0) => pinned.to_string(),
                (pinned, not) => format!("{pinned} ({not} not)"),
            };
            let version = row.version.clone();
            [row.slug.to_string(), version, row.source.clone(), pinned, row.description.clone()]
        })
        .collect();
    print(table(["TOOL", "VERSION", "FROM", "PINNED", "WHAT"], &lines))?;
    for row in &rows {
        row.problem.iter().for_each(|why| note(&format!("{}: {why}", row.slug)));
    }
    Ok(0)
}
