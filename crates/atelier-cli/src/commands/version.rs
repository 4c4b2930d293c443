//! `atelier version`.

use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier version`.
#[derive(Debug, Args)]
pub(crate) struct VersionArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &VersionArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let (version, build) = (context.hooks.version(), context.hooks.build());
    if args.json {
        print_json(&serde_json::json!({ "version": version, "build": build }))?;
    } else if version == build {
        print(format!("atelier {version}\n"))?;
    } else {
        print(format!("atelier {version} ({build})\n"))?;
    }
    Ok(0)
}
