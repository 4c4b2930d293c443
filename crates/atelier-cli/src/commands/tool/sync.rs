//! `atelier tool sync`: the home meets its remote.

use atelier_tools::verbs;
use clap::Args;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Which way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Way {
    /// Send
    Push,
    /// Fetch
    Pull,
}

/// Arguments of `atelier tool sync`.
#[derive(Debug, Args)]
pub(crate) struct SyncArgs {
    /// One way only; without it, fetch and then send
    pub way: Option<Way>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Does it.
pub(crate) fn run(args: &SyncArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let changing = desk.context();
    let way = match args.way {
        None => verbs::Way::Both,
        Some(Way::Push) => verbs::Way::Push,
        Some(Way::Pull) => verbs::Way::Pull,
    };
    let done = verbs::sync(&desk.home, way, &changing.get())?;
    if args.json {
        print_json(&done)?;
        return Ok(0);
    }
    print(format!("{} commits fetched, {} sent\n", done.pulled, done.pushed))?;
    if !done.changed.is_empty() {
        note(&format!("{} changed: atelier tool install --all", done.changed.join(", ")));
    }
    Ok(0)
}
