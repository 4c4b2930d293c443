//! `atelier tool restore`: saved data takes the present data's place.

use atelier_plugin::{Plugin, Slug};
use atelier_toolrun::data;
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, note, print, print_json};

/// Arguments of `atelier tool restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// Which backup; none: the last one
    #[arg(value_name = "BACKUP")]
    pub backup: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Brings it back. The present data is put aside until that has succeeded.
pub(crate) fn run(args: &RestoreArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, args.yes, args.json)?;
    desk.tools(std::slice::from_ref(&args.name))?;
    if !Plugin::load(&desk.home.plugin(&args.name))?.data.is_empty() {
        data::find(&desk.home, &args.name, args.backup.as_deref())?;
    }
    let which = args.backup.as_deref().unwrap_or("the last backup");
    let question = format!("put {which} in place of the present data of {}?", args.name);
    if !(args.yes || confirm(&question)?) {
        return Ok(0);
    }
    let name = args.backup.as_deref();
    let done = desk.with_manner(|manner| data::restore(&desk.home, &args.name, name, manner))?;
    if args.json {
        print_json(&done)?;
        return Ok(0);
    }
    match &done.file {
        Some(file) => print(format!("restored {} from {}\n", args.name, file.display()))?,
        None => print(format!("{} restored its data by its own script\n", args.name))?,
    }
    done.untouched.iter().for_each(|what| note(&format!("left as it is: {what}")));
    done.unknown.iter().for_each(|what| note(&format!("the plugin no longer has {what}")));
    Ok(0)
}
