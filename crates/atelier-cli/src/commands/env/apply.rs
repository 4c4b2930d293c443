//! `atelier env apply`: an environment's changes, brought back into the project.

use atelier_api::env::{Applied, EnvApply, EnvApplyInput};
use clap::Args;

use super::back;
use crate::args::EnvArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{count, note, print, print_json, visible};

/// Arguments of `atelier env apply`.
#[derive(Debug, Args)]
#[command(after_help = "Where the project has changed in the same places nothing is applied, and \
                        the places are listed (exit code 4).")]
pub(crate) struct ApplyArgs {
    #[command(flatten)]
    pub env: EnvArg,
    /// Make a commit on a new branch, and leave the working tree alone
    #[arg(short, long, value_name = "NAME")]
    pub branch: Option<String>,
    /// The message of the commit
    #[arg(short, long, value_name = "TEXT", requires = "branch")]
    pub message: Option<String>,
    /// Files that git ignores as well
    #[arg(short, long)]
    pub all: bool,
    /// Only say what would change
    #[arg(short = 'n', long)]
    pub dry_run: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Applies them.
pub(crate) fn run(args: &ApplyArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let input = EnvApplyInput {
        env: args.env.env.clone(),
        project: context.here(args.env.project.project.as_deref())?,
        branch: args.branch.clone(),
        message: args.message.clone(),
        all: args.all,
        dry_run: args.dry_run,
    };
    let applied = match context.far()? {
        Some(connected) => back::bring(context, connected, input)?,
        None => context.call::<EnvApply>(&input)?,
    };
    if args.json {
        print_json(&applied)?;
        return Ok(0);
    }
    applied.notes.iter().for_each(|text| note(text));
    print(text(&applied, args))?;
    Ok(0)
}

fn text(applied: &Applied, args: &ApplyArgs) -> String {
    let mut text = String::new();
    for file in &applied.files {
        let merged = if applied.merged.contains(file) { "  (merged)" } else { "" };
        text.push_str(&format!("{}{merged}\n", visible(file)));
    }
    let files = count(applied.files.len(), "file");
    text.push_str(&match (&args.branch, args.dry_run) {
        (_, true) => format!("{files} would change\n"),
        (Some(branch), false) => match applied.commit.as_deref() {
            Some(commit) => {
                let commit = commit.get(..12).unwrap_or(commit);
                format!("{files} changed on the branch {branch} {commit}\n")
            }
            None => "no branch was made\n".to_owned(),
        },
        (None, false) => format!("{files} changed in the project\n"),
    });
    text
}
