//! `atelier tool validate`: everything that is wrong with a plugin.

use std::path::PathBuf;

use atelier_api::ExitCode;
use atelier_tools::verbs;
use clap::Args;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

/// Arguments of `atelier tool validate`.
#[derive(Debug, Args)]
pub(crate) struct ValidateArgs {
    /// The plugin's folder, its plugin.yaml
    pub path: PathBuf,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Says it. The exit code is that of an invalid file when something is wrong.
pub(crate) fn run(args: &ValidateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let changing = desk.context();
    let done = verbs::validate(&args.path, &changing.get())?;
    if args.json {
        print_json(&done)?;
    } else {
        for problem in &done.problems {
            print(format!("{problem}\n"))?;
            problem.hint.iter().for_each(|hint| note(hint));
        }
        done.notes.iter().for_each(|text| note(text));
        if done.valid {
            print("valid\n")?;
        }
    }
    Ok(if done.valid { 0 } else { ExitCode::InvalidInput.code() })
}
