//! `atelier tool install`: everything as the lock says.

use atelier_tools::verbs::{self, InstallOptions};
use clap::Args;

use super::args::SomeOrAll;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier tool install`.
#[derive(Debug, Args)]
pub(crate) struct InstallArgs {
    #[command(flatten)]
    pub tools: SomeOrAll,
    /// Change nothing of the lock: a difference is an error
    #[arg(long)]
    pub frozen: bool,
    /// Where you changed a tool's files, put yours aside and take the lock's
    #[arg(long)]
    pub theirs: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Installs them.
pub(crate) fn run(args: &InstallArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, args.yes, args.json)?;
    let changing = desk.context();
    let tools = args.tools.names.iter().map(ToString::to_string).collect();
    let options = InstallOptions { tools, frozen: args.frozen, theirs: args.theirs };
    let all = verbs::install(&desk.home, &options, &changing.get())?;
    if args.json {
        print_json(&all)?;
        return Ok(0);
    }
    for one in &all {
        let done = if one.done.is_empty() { "as it was".to_owned() } else { one.done.join(", ") };
        print(format!("{}: {done}\n", one.slug))?;
        one.notes.iter().for_each(|text| note(text));
    }
    Ok(0)
}
