//! `atelier tool remove`: tools go, out of every agent as well.

use atelier_plugin::Slug;
use atelier_tools::verbs::{self, RemoveOptions};
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier tool remove`.
#[derive(Debug, Args)]
pub(crate) struct RemoveArgs {
    /// The tools
    #[arg(value_name = "NAME", value_parser = slug, required = true)]
    pub names: Vec<Slug>,
    /// Remove its settings, secrets, data and your custom files as well
    #[arg(long)]
    pub purge: bool,
    /// Remove it though its uninstall command fails
    #[arg(short, long)]
    pub force: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Removes them, one after the other.
pub(crate) fn run(args: &RemoveArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, args.yes, args.json)?;
    let changing = desk.context();
    let options = RemoveOptions { purge: args.purge, force: args.force };
    let mut removed = Vec::new();
    for name in &args.names {
        let done = verbs::remove(&desk.home, name.as_str(), &options, &changing.get())?;
        if !args.json {
            print(format!("removed {name}\n"))?;
            done.warnings.iter().for_each(|text| note(text));
            done.kept.iter().for_each(|what| note(&format!("kept: {what}")));
        }
        removed.push(done);
    }
    if args.json {
        print_json(&removed)?;
    }
    Ok(0)
}
