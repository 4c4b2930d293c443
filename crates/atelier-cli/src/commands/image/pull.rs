//! `atelier image pull`: an image from its registry.

use atelier_api::image::{ImagePull, ImagePullInput};
use clap::Args;

use super::short;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, size};

const EXAMPLES: &str = "\
Examples:
  atelier image pull alpine:3.20
  atelier image pull ghcr.io/owner/name@sha256:…
  atelier image pull localhost:5000/mine --platform linux/arm64

Logins are those of `docker login`, in ~/.docker/config.json.";

/// Arguments of `atelier image pull`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PullArgs {
    /// The image: a name with its registry, and a tag or a digest
    #[arg(value_name = "IMAGE")]
    pub reference: String,
    /// The platform, such as linux/arm64; this machine's when left out
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Pulls it.
pub(crate) fn run(args: &PullArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let (reference, platform) = (args.reference.clone(), args.platform.clone());
    let what = format!("pulling {reference}");
    let image = context.call_slowly::<ImagePull>(&what, &ImagePullInput { reference, platform })?;
    if args.json {
        print_json(&image)?;
    } else {
        let (id, bytes) = (short(&image.id), size(image.size_bytes));
        print(format!("pulled {} ({id}, {bytes})\n", args.reference))?;
    }
    Ok(0)
}
