//! `atelier image prune`: images that nothing uses go.

use atelier_api::image::{ImagePrune, ImagePruneInput};
use clap::Args;

use super::print_removed;
use crate::commands::many::Removal;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, print_json};

/// Arguments of `atelier image prune`.
#[derive(Debug, Args)]
pub(crate) struct PruneArgs {
    /// Those with a name as well
    #[arg(short, long)]
    pub all: bool,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, when the user agrees.
pub(crate) fn run(args: &PruneArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let question = if args.all {
        "Remove every image that no sandbox, template or snapshot uses?"
    } else {
        "Remove every image that has no name and is not used?"
    };
    if !(args.removal.yes || confirm(question)?) {
        return Ok(0);
    }
    let input = ImagePruneInput { all: args.all };
    let removed = context.call_slowly::<ImagePrune>("removing images", &input)?;
    if args.removal.json {
        print_json(&removed)?;
    } else {
        print_removed(&removed)?;
    }
    Ok(0)
}
