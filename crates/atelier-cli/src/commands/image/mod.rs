//! `atelier image`: what sandboxes start from, one verb a file.

mod build;
mod import;
mod ls;
mod prune;
mod pull;
mod rm;

use atelier_api::image::{Image, ImagesRemoved};
use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, size};

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum ImageCommand {
    /// List images
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Pull an image from its registry
    Pull(pull::PullArgs),
    /// Import an image from this machine
    Import(import::ImportArgs),
    /// Build an image from a Dockerfile, with Docker, Podman or Buildah
    Build(build::BuildArgs),
    /// Remove images, or names of images
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Remove images that nothing uses
    Prune(prune::PruneArgs),
}

impl ImageCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Pull(args) => args.json,
            Self::Import(args) => args.json,
            Self::Build(args) => args.json,
            Self::Rm(args) => args.removal.json,
            Self::Prune(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &ImageCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        ImageCommand::Ls(args) => ls::run(args, context),
        ImageCommand::Pull(args) => pull::run(args, context),
        ImageCommand::Import(args) => import::run(args, context),
        ImageCommand::Build(args) => build::run(args, context),
        ImageCommand::Rm(args) => rm::run(args, context),
        ImageCommand::Prune(args) => prune::run(args, context),
    }
}

/// The digits of an id, enough to tell images apart.
fn short(id: &str) -> String {
    id.strip_prefix("sha256:").unwrap_or(id).chars().take(12).collect()
}

/// An image's first name, or its id.
fn called(image: &Image) -> &str {
    image.names.first().unwrap_or(&image.id)
}

/// Says what went.
fn print_removed(removed: &ImagesRemoved) -> Result<(), Failure> {
    let mut text: String = removed.removed.iter().map(|name| format!("removed {name}\n")).collect();
    text.push_str(&format!("{} freed\n", size(removed.freed_bytes)));
    print(text)
}
