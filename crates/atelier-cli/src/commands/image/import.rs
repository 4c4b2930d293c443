//! `atelier image import`: an image from this machine.

use std::path::PathBuf;

use atelier_api::image::{ImageImport, ImageImportInput};
use clap::Args;

use super::short;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json, size};

const EXAMPLES: &str = "\
Examples:
  docker save app:1 -o app.tar && atelier image import app.tar
  atelier image import oci-layout/ app:1
  atelier image import rootfs.tar debian:mine";

/// Arguments of `atelier image import`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ImportArgs {
    /// An archive of `docker save`, an OCI layout, a root tarball, or a folder with a root in it
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// The image's name; what the archive says when left out
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Imports it.
pub(crate) fn run(args: &ImportArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let what = format!("importing {}", args.path.display());
    let input = ImageImportInput { path: context.path(&args.path)?, name: args.name.clone() };
    let image = context.call_slowly::<ImageImport>(&what, &input)?;
    if args.json {
        print_json(&image)?;
    } else {
        let (id, bytes) = (short(&image.id), size(image.size_bytes));
        // What is imported may have been here under another name.
        let names = if image.names.is_empty() { "an image".into() } else { image.names.join(", ") };
        print(format!("imported {names} ({id}, {bytes})\n"))?;
    }
    Ok(0)
}
