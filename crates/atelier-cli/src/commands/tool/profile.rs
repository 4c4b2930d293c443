//! `atelier tool profile`: sets of tools.

use atelier_agents::Scope;
use atelier_plugin::Slug;
use atelier_tools::verbs;
use clap::{Args, Subcommand};

use super::args::slug;
use super::desk::Desk;
use super::plug::finish;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, table};

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum ProfileCommand {
    /// List the profiles
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Make a profile of some tools, or change it
    Create(CreateArgs),
    /// Have just the tools of a profile wired into your agents
    Use(UseArgs),
}

/// Arguments of `atelier tool profile ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `atelier tool profile create`.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// What it is to be called
    pub name: String,
    /// Its tools
    #[arg(value_name = "TOOL", value_parser = slug, required = true)]
    pub tools: Vec<Slug>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `atelier tool profile use`.
#[derive(Debug, Args)]
pub(crate) struct UseArgs {
    /// The profile; none: all tools again
    pub name: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

impl ProfileCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Create(args) => args.json,
            Self::Use(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &ProfileCommand, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, command.json())?;
    match command {
        ProfileCommand::Ls(args) => ls(&desk, args),
        ProfileCommand::Create(args) => {
            let tools: Vec<_> = args.tools.iter().map(ToString::to_string).collect();
            let done =
                verbs::profile_create(&desk.home, &args.name, &tools, &desk.context().get())?;
            match args.json {
                true => print_json(&done)?,
                false => print(format!("{}: {}\n", args.name, tools.join(" ")))?,
            }
            Ok(0)
        }
        ProfileCommand::Use(args) => use_it(&desk, args),
    }
}

fn ls(desk: &Desk, args: &LsArgs) -> Result<u8, Failure> {
    let all = verbs::profile_ls(&desk.home)?;
    if args.json {
        print_json(&all)?;
        return Ok(0);
    }
    let row = |profile: &verbs::Profile| {
        let active = if profile.active { "*" } else { "" };
        [active.to_owned(), profile.name.clone(), profile.tools.join(" ")]
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    match rows.is_empty() {
        true => note("no profiles; `atelier tool profile create` makes one"),
        false => print(table(["", "PROFILE", "TOOLS"], &rows))?,
    }
    Ok(0)
}

/// The agents that have any tool of ours get those of the profile, and lose the others.
fn use_it(desk: &Desk, args: &UseArgs) -> Result<u8, Failure> {
    verbs::profile_use(&desk.home, args.name.as_deref(), &desk.context().get())?;
    let rows = verbs::ls(&desk.home)?;
    let slugs = |active: bool| -> Vec<Slug> {
        rows.iter().filter(|row| row.active == active).map(|row| row.slug.clone()).collect()
    };
    let wiring = desk.wiring(Scope::User, false)?;
    let mut wired: Vec<_> = wiring.plugged()?.into_iter().map(|(_, agent)| agent).collect();
    wired.sort();
    wired.dedup();
    if wired.is_empty() {
        note("no agent has tools yet: atelier tool plug");
        return finish(args.json, &[]);
    }
    let names: Vec<_> = wired.iter().map(String::as_str).collect();
    let agents = wiring.agents(&names)?;
    let mut lines = wiring.unplug(&slugs(false), &agents)?;
    lines.extend(wiring.plug(&wiring.pluggable(&slugs(true)), &agents)?);
    finish(args.json, &lines)
}
