//! `atelier host ls`: the machines that have names.

use atelier_far::Hosts;
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, table};

/// Arguments of `atelier host ls`.
#[derive(Debug, Args)]
#[command(
    after_help = "Docker contexts that ssh reaches are listed too; JSON has only what was added."
)]
pub(crate) struct LsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let hosts = Hosts::load(&context.home()?)?;
    if args.json {
        print_json(&hosts)?;
        return Ok(0);
    }
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let row = |host: &atelier_far::Host| {
        let identity = host.identity.as_ref().map(|file| file.display().to_string());
        let port = host.port.map(|port| port.to_string());
        [host.name.clone(), host.ssh.clone(), or_dash(port), or_dash(identity)]
    };
    let contexts = Hosts::of_docker();
    let contexts =
        contexts.iter().filter(|context| hosts.0.values().all(|h| h.name != context.name));
    let rows: Vec<_> = hosts.0.values().chain(contexts).map(row).collect();
    if !rows.is_empty() {
        print(table(["NAME", "MACHINE", "PORT", "KEY"], &rows))?;
    }
    Ok(0)
}
