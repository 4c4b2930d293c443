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
    /// Look in the official MCP Registry as well, or in the one at this address
    #[arg(long, value_name = "URL", num_args = 0..=1, require_equals = true,
          default_missing_value = atelier_tools::MCP_REGISTRY)]
    pub mcp: Option<String>,
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
    let (query, mcp) = (args.query.join(" "), args.mcp.clone());
    let options = verbs::SearchOptions { query, offline: args.offline, mcp };
    let found = verbs::search(&desk.home, &options, &changing.get())?;
    if args.json {
        print_json(&found)?;
        return Ok(0);
    }
    for registry in &found.registries {
        registry.problem.iter().for_each(|why| note(&format!("{}: {why}", registry.name)));
    }
    let row = |hit: &verbs::Hit| {
        let here = if hit.installed { "yes" } else { "" };
        let what = match &hit.problem {
            Some(why) => format!("({why}) {}", hit.description),
            None => hit.description.clone(),
        };
        [hit.name.clone(), hit.registry.clone(), here.to_owned(), what]
    };
    let rows: Vec<_> = found.tools.iter().map(row).collect();
    match rows.is_empty() {
        true => note("nothing was found"),
        false => print(table(["TOOL", "REGISTRY", "HERE", "WHAT"], &rows))?,
    }
    Ok(0)
}
