//! `atelier host rm`: a machine is forgotten.

use atelier_api::Name;
use atelier_far::{Hosts, Ssh};
use clap::Args;

use crate::args::name;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::print;

/// Arguments of `atelier host rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The machine
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: Name,
}

/// Forgets it.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let home = context.home()?;
    let host = Hosts::named(&home, args.name.as_str())?;
    let mut hosts = Hosts::load(&home)?;
    hosts.0.remove(&args.name);
    hosts.save(&home)?;
    Ssh::of(host, &home)?.close();
    print(format!("forgot {}; its environments stay where they are\n", args.name))?;
    Ok(0)
}
