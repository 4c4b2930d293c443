//! `atelier hostnames ls`: every name of an environment's services.

use atelier_api::hostname::{Hostname, HostnamesList, NameSource};
use clap::Args;

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier hostnames ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<HostnamesList>(&args.env.reference(context)?)?;
    if args.json {
        print_json(&found)?;
    } else if !found.is_empty() {
        let rows: Vec<_> = found.iter().map(row).collect();
        print(table(["NAME", "SERVICE", "FROM", "LEADS THERE"], &rows))?;
    }
    Ok(0)
}

fn row(name: &Hostname) -> [String; 4] {
    let from = match name.source {
        NameSource::Own => "itself",
        NameSource::Files => "files",
        NameSource::Added => "added",
    };
    let up = if name.up { "yes" } else { "no" };
    [name.name.clone(), name.service.clone(), from.to_owned(), up.to_owned()]
}
