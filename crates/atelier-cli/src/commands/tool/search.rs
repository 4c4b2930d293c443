//! `atelier tool search`: what the registries offer.

use atelier_tools::verbs;
use clap::Args;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, table};

/// Arguments of `atelier tool search`.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Words that the name or the description has; none: everything
    pub query: Vec<String>,
    /// Answer from the kept indexes, without the network
    #[arg(long)]
    pub offline: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Searches.
pub(crate) fn run(args: &SearchArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let changing = desk.context();
    let found = verbs::search(&desk.home, &args.query.join(" "), args.offline, &changing.get())?;
    if args.json {
        print_json(&found)?;
        return Ok(0);
    }
    for registry in &found.registries {
        registry.problem.iter().for_each(|why| note(&format!("{}: {why}", registry.name)));
    }
    let row = |hit: &verbs::Hit| {
        let here = if hit.installed { "yes" } else { "" };
        [hit.name.clone(), hit.registry.clone(), here.to_owned(), hit.description.clone()]
    };
    let rows: Vec<_> = found.tools.iter().map(row).collect();
    match rows.is_empty() {
        true => note("nothing was found"),
        false => print(table(["TOOL", "REGISTRY", "HERE", "WHAT"], &rows))?,
    }
    Ok(0)
}
