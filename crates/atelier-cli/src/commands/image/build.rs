//! `atelier image build`: an image from a Dockerfile.

use std::path::PathBuf;

use atelier_api::image::{ImageBuild, ImageBuildInput};
use clap::Args;

use super::short;
use crate::commands::sandbox::pair;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json, size};

/// Arguments of `atelier image build`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  atelier image build . -t app:1")]
pub(crate) struct BuildArgs {
    /// The folder of the build
    #[arg(value_name = "FOLDER", default_value = ".")]
    pub context: PathBuf,
    /// The image's name
    #[arg(short = 't', long = "tag", value_name = "NAME")]
    pub name: String,
    /// The Dockerfile; the one in the folder when left out
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// An argument of the build (repeatable)
    #[arg(long, value_name = "KEY=VALUE", value_parser = pair)]
    pub build_arg: Vec<(String, String)>,
    /// The stage to build; the last one when left out
    #[arg(long, value_name = "STAGE")]
    pub target: Option<String>,
    /// Build everything again
    #[arg(long)]
    pub no_cache: bool,
    /// Show what the builder said
    #[arg(short, long)]
    pub verbose: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Builds it.
pub(crate) fn run(args: &BuildArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let input = ImageBuildInput {
        context: context.path(&args.context)?,
        dockerfile: args.file.as_deref().map(|file| context.path(file)).transpose()?,
        name: args.name.clone(),
        arguments: args.build_arg.iter().cloned().collect(),
        target: args.target.clone(),
        no_cache: args.no_cache,
    };
    let built = context.call_slowly::<ImageBuild>(&format!("building {}", args.name), &input)?;
    if args.json {
        print_json(&built)?;
        return Ok(0);
    }
    if args.verbose {
        built.log.lines().for_each(note);
    }
    let (id, bytes) = (short(&built.image.id), size(built.image.size_bytes));
    print(format!("built {} ({id}, {bytes})\n", args.name))?;
    Ok(0)
}
