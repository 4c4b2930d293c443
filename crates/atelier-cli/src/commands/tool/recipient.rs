//! `atelier tool recipient`: the machines that can read the home's secrets.

use atelier_toolrun::secrets::{self, Keys};
use atelier_tools::{Result as Done, verbs};
use clap::{Args, Subcommand};
use serde::Serialize;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, table};

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum RecipientCommand {
    /// List the keys that secrets are sealed for, this machine's first
    #[command(visible_alias = "list")]
    Ls(LsArgs),
    /// Let a machine read the secrets, by its key
    Add(KeyArgs),
    /// Seal the secrets for a machine no longer
    #[command(visible_alias = "rm")]
    Remove(KeyArgs),
}

/// Arguments of `atelier tool recipient ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Arguments of `atelier tool recipient add` and `remove`.
#[derive(Debug, Args)]
pub(crate) struct KeyArgs {
    /// The key, as `atelier tool recipient ls` on that machine says: age1…
    pub key: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// One machine.
#[derive(Debug, Serialize)]
struct Recipient {
    key: String,
    this_machine: bool,
    listed: bool,
}

impl RecipientCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Add(args) | Self::Remove(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &RecipientCommand, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, command.json())?;
    match command {
        RecipientCommand::Ls(args) => ls(&desk, args),
        RecipientCommand::Add(args) => {
            secrets::check_recipient(&args.key)?;
            change(&desk, &args.key, verbs::recipient_add)?;
            said(args, "reads the secrets; `atelier tool sync` sends them")
        }
        RecipientCommand::Remove(args) => {
            change(&desk, &args.key, verbs::recipient_remove)?;
            note("git's history has what it could read: change those secrets themselves");
            said(args, "is sealed for no longer")
        }
    }
}

fn said(args: &KeyArgs, what: &str) -> Result<u8, Failure> {
    match args.json {
        true => print_json(&[&args.key])?,
        false => print(format!("{} {what}\n", args.key))?,
    }
    Ok(0)
}

type Change =
    fn(&atelier_tools::Home, &str, verbs::Reseal<'_>, &atelier_tools::Context<'_>) -> Done<()>;

fn change(desk: &Desk, key: &str, change: Change) -> Result<(), Failure> {
    let reseal = |recipients: &[String]| {
        let done = secrets::reseal(&desk.home, recipients)?;
        done.closed
            .iter()
            .for_each(|name| note(&format!("cannot be read here, so it stays: {name}")));
        Ok(done.files)
    };
    Ok(change(&desk.home, key, &reseal, &desk.context().get())?)
}

fn ls(desk: &Desk, args: &LsArgs) -> Result<u8, Failure> {
    let listed = verbs::recipients(&desk.home)?;
    let own = Keys::load_or_make(&desk.home)?.recipient();
    let mut all =
        vec![Recipient { listed: listed.contains(&own), key: own.clone(), this_machine: true }];
    let others = listed.into_iter().filter(|key| *key != own);
    all.extend(others.map(|key| Recipient { key, this_machine: false, listed: true }));
    if args.json {
        print_json(&all)?;
        return Ok(0);
    }
    let row = |one: &Recipient| {
        let what = if one.this_machine { "this machine" } else { "" };
        [one.key.clone(), what.to_owned()]
    };
    print(table(["KEY", ""], &all.iter().map(row).collect::<Vec<_>>()))?;
    Ok(0)
}
