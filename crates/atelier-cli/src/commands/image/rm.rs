//! `atelier image rm`: images, or names of images, go.

use atelier_api::Problem;
use atelier_api::image::{ImageRemove, ImageRemoveInput, ImagesRemoved};
use clap::Args;

use super::print_removed;
use crate::commands::many::Removal;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, print_json};

/// Arguments of `atelier image rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The images: names, ids, or beginnings of ids
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
    /// Remove them although they have other names
    #[arg(short, long)]
    pub force: bool,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, as many as can be: the exit code is that of the first that cannot.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let question = format!("Remove the images {}?", args.images.join(", "));
    if !(args.removal.yes || confirm(&question)?) {
        return Ok(0);
    }
    let plane = context.control_plane()?;
    let (mut all, mut problems) = (ImagesRemoved::default(), Vec::new());
    context.wait(async {
        for image in args.images.clone() {
            let input = ImageRemoveInput { image, force: args.force };
            match plane.call::<ImageRemove>(&input).await {
                Ok(removed) => {
                    all.removed.extend(removed.removed);
                    all.freed_bytes += removed.freed_bytes;
                }
                Err(error) => problems.push(Problem::from(error)),
            }
        }
        Ok(())
    })?;
    if args.removal.json {
        print_json(&all)?;
    } else if !all.removed.is_empty() {
        print_removed(&all)?;
    }
    let json = args.removal.json;
    let codes: Vec<_> = problems.into_iter().map(|p| Failure::from(p).report(json)).collect();
    codes.first().map_or(Ok(0), |code| Err(Failure::Code(*code)))
}
