//! `atelier audit`: who changed what, the newest first.

use atelier_api::system::{AuditList, AuditListInput, AuditRow};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier audit`.
#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// How many rows at most
    #[arg(long, value_name = "COUNT", default_value_t = 100)]
    pub limit: u32,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &AuditArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let plane = context.control_plane()?;
    let input = AuditListInput { limit: args.limit };
    let rows = context.wait(async { Ok(plane.call::<AuditList>(&input).await?) })?;
    if args.json {
        print_json(&rows)?;
    } else {
        let cells: Vec<_> = rows.into_iter().map(cells).collect();
        print(table(["WHEN", "WHO", "WHAT", "OF", "OUTCOME"], &cells))?;
    }
    Ok(0)
}

fn cells(row: AuditRow) -> [String; 5] {
    let outcome = row.outcome.unwrap_or_else(|| "unfinished".to_owned());
    [format!("{:.0}", row.began_at), row.actor, row.action, row.subject, outcome]
}
