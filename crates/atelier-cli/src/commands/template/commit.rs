//! `atelier template commit`: a sandbox's files, frozen as a template.

use atelier_api::image::{TemplateCommit, TemplateCommitInput};
use clap::Args;

use super::args::StartArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, size};

/// Arguments of `atelier template commit`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  atelier template commit py-ready dev")]
pub(crate) struct CommitArgs {
    /// The template's name, with a tag after a colon if one is wanted
    #[arg(value_name = "NAME")]
    pub name: String,
    /// The sandbox: its name, its id, or the beginning of its id
    #[arg(value_name = "SANDBOX")]
    pub sandbox: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub start: StartArgs,
}

/// Freezes them; the sandbox goes on.
pub(crate) fn run(args: &CommitArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let (name, sandbox) = (args.name.clone(), args.sandbox.clone());
    let what = format!("freezing {sandbox}");
    let input = TemplateCommitInput { name, sandbox, spec: args.start.spec()? };
    let made = context.call_slowly::<TemplateCommit>(&what, &input)?;
    if args.json {
        print_json(&made)?;
    } else {
        print(format!("made {} ({})\n", made.name, size(made.size_bytes)))?;
    }
    Ok(0)
}
