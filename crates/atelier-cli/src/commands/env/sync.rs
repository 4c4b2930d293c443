//! `atelier env sync`: what changed in the project, brought into an environment.

use atelier_api::env::{EnvSync, EnvSyncInput, Prefer, Synced};
use clap::{Args, ValueEnum};

use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{count, note, print, print_json, visible};

/// Arguments of `atelier env sync`.
#[derive(Debug, Args)]
#[command(
    after_help = "Commands in the environment go on. Where both have changed in the same places nothing is \
                        brought in, and the places are listed (exit code 4). Files that git ignores and that both \
                        changed stay as they are in the environment."
)]
pub(crate) struct SyncArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Whose version of a file stays where both changed the same lines
    #[arg(long, value_name = "SIDE")]
    pub prefer: Option<Side>,
    /// Only say what would change
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// A side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Side {
    /// The project's
    Project,
    /// The environment's
    Environment,
}

/// Brings it in.
pub(crate) fn run(args: &SyncArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let folder = context.here(args.env.project.project.as_deref())?;
    let project = context.sent(folder.as_path(), false)?;
    let input = EnvSyncInput {
        env: args.env.env.clone(),
        project,
        prefer: args.prefer.map(|side| match side {
            Side::Project => Prefer::Project,
            Side::Environment => Prefer::Environment,
        }),
        dry_run: args.dry_run,
    };
    let synced = context.call_slowly::<EnvSync>("bringing changes in", &input)?;
    if args.json {
        print_json(&synced)?;
        return Ok(0);
    }
    synced.notes.iter().for_each(|text| note(text));
    print(text(&synced, args.dry_run))?;
    Ok(0)
}

fn text(synced: &Synced, dry_run: bool) -> String {
    let mut text = String::new();
    for file in &synced.files {
        let merged = if synced.merged.contains(file) { "  (merged)" } else { "" };
        text.push_str(&format!("{}{merged}\n", visible(file)));
    }
    let files = count(synced.files.len(), "file");
    let done = if dry_run { "would change" } else { "changed in the environment" };
    text + &format!("{files} {done}\n")
}
