//! `atelier sandbox snapshot`: a sandbox's state, saved; the sandbox goes on.

use atelier_api::sandbox::{SandboxSnapshot, SandboxSnapshotInput};
use clap::Args;

use super::args::SandboxArg;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier sandbox snapshot dev before-upgrade
  atelier sandbox restore dev before-upgrade       back to it
  atelier sandbox create before-upgrade            another sandbox from it";

/// Arguments of `atelier sandbox snapshot`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// A name for the snapshot; an older one of this name loses it
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Keep processes and memory as well, or fail; by default where the runtime can
    #[arg(long, conflicts_with = "files_only")]
    pub memory: bool,
    /// Keep files only
    #[arg(long)]
    pub files_only: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Takes it; the name or the id is alone on standard output.
pub(crate) fn run(args: &SnapshotArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let memory = if args.memory { Some(true) } else { args.files_only.then_some(false) };
    let sandbox = args.sandbox.sandbox.clone();
    let what = format!("saving {sandbox}");
    let input = SandboxSnapshotInput { sandbox, name: args.name.clone(), memory };
    let taken = context.call_slowly::<SandboxSnapshot>(&what, &input)?;
    if args.json {
        print_json(&taken)?;
    } else {
        print(format!("{}\n", taken.name.as_ref().unwrap_or(&taken.id)))?;
    }
    Ok(0)
}
