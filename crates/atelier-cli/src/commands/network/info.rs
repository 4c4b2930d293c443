//! `atelier network info`: who has which subnet.

use atelier_api::service::{NetworkInfo, NetworkInfoInput, NetworkView};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier network info`.
#[derive(Debug, Args)]
pub(crate) struct InfoArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows them.
pub(crate) fn run(args: &InfoArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<NetworkInfo>(&NetworkInfoInput {})?;
    if args.json {
        print_json(&found)?;
        return Ok(0);
    }
    let mut text =
        format!("engine  {}\nrange   {}, {} left\n", found.engine, found.range, found.free);
    if !found.networks.is_empty() {
        let rows: Vec<_> = found.networks.iter().map(row).collect();
        text.push('\n');
        text.push_str(&table(["ENVIRONMENT", "NETWORK", "SUBNETS"], &rows));
    }
    print(text)?;
    Ok(0)
}

fn row(network: &NetworkView) -> [String; 3] {
    [
        network.environment.clone().unwrap_or_else(|| "-".to_owned()),
        network.name.clone(),
        network.subnets.join(", "),
    ]
}
