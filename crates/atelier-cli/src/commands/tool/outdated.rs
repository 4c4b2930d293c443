//! `atelier tool outdated`: which tools have newer versions.

use atelier_plugin::Slug;
use atelier_tools::verbs;
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use super::upgrade::finish;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, table};

/// Arguments of `atelier tool outdated`.
#[derive(Debug, Args)]
pub(crate) struct OutdatedArgs {
    /// One tool; none: every one
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Option<Slug>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them; nothing is changed.
pub(crate) fn run(args: &OutdatedArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let changing = desk.context();
    let mut outcomes =
        verbs::outdated(&desk.home, args.name.as_ref().map(Slug::as_str), &changing.get())?;
    outcomes.retain(|outcome| outcome.done.as_ref().is_none_or(|done| !done.same));
    if args.json {
        print_json(&outcomes)?;
        return Ok(0);
    }
    let done = outcomes.iter().filter_map(|outcome| outcome.done.as_ref());
    let rows: Vec<_> = done
        .map(|d| [d.slug.clone(), d.from.clone(), d.to.clone(), d.packages.join(", ")])
        .collect();
    match (rows.is_empty(), outcomes.is_empty()) {
        (false, _) => print(table(["TOOL", "HERE", "NEWEST", "PACKAGES"], &rows))?,
        (_, true) => note("everything is at its newest version"),
        _ => {}
    }
    outcomes.retain(|outcome| outcome.failed.is_some());
    finish(&outcomes, false)
}
