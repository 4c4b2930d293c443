//! `atelier tool add`: a tool comes into the home.

use atelier_plugin::Slug;
use atelier_tools::verbs::{self, AddOptions, Added};
use clap::Args;

use super::args::slug;
use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier tool add notion                                        from the registry
  atelier tool add https://github.com/acme/plugins@^1.2#search    a repository, a version, a folder in it
  atelier tool add ./my-plugin                                   a folder of this machine
  atelier tool add mcp:io.github.acme/server                     from the official MCP Registry";

/// Arguments of `atelier tool add`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AddArgs {
    /// Names of a registry, git URLs (with @REF and #FOLDER), or folders
    #[arg(value_name = "SOURCE", required = true)]
    pub sources: Vec<String>,
    /// Install it under another name
    #[arg(long, value_name = "NAME", value_parser = slug)]
    pub name: Option<Slug>,
    /// Let its npm packages run their install scripts
    #[arg(long)]
    pub allow_scripts: bool,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Adds them, one after the other; the first that fails ends it, and those before it stay.
pub(crate) fn run(args: &AddArgs, context: &Context<'_>) -> Result<u8, Failure> {
    if args.name.is_some() && args.sources.len() > 1 {
        return Err(Failure::usage("--name is for one tool"));
    }
    let desk = Desk::new(context, args.yes, args.json)?;
    let changing = desk.context();
    let folder = std::env::current_dir()?;
    let mut added = Vec::new();
    for source in &args.sources {
        let options = AddOptions {
            what: source.clone(),
            folder: folder.clone(),
            slug: args.name.as_ref().map(ToString::to_string),
            scripts: args.allow_scripts,
        };
        let done = verbs::add(&desk.home, &options, &changing.get())?;
        if !args.json {
            show(&done)?;
        }
        added.push(done);
    }
    if args.json {
        print_json(&added)?;
    }
    Ok(0)
}

fn show(added: &Added) -> Result<(), Failure> {
    let slug = &added.slug;
    print(format!("added {slug} ({})\n", added.source))?;
    for one in &added.unpinned {
        note(&format!("not pinned: {}: {}", one.what, one.why));
    }
    added.notes.iter().for_each(|text| note(text));
    if !added.needs.is_empty() {
        note(&format!("needs {}: atelier tool setup {slug}", added.needs.join(", ")));
    }
    Ok(())
}
