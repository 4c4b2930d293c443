//! `atelier template`: prepared beginnings of sandboxes, one verb a file.

mod args;
mod build;
mod commit;
mod ls;
mod rm;
mod show;

use clap::Subcommand;

use crate::args::ListArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum TemplateCommand {
    /// Build a template, unless nothing that it is made of has changed
    Build(Box<build::BuildArgs>),
    /// Freeze a sandbox's files as a template
    Commit(Box<commit::CommitArgs>),
    /// List templates
    #[command(visible_alias = "list")]
    Ls(ListArgs),
    /// Show one template
    Show(show::ShowArgs),
    /// Remove templates; sandboxes made from them stay
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

impl TemplateCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Build(args) => args.json,
            Self::Commit(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Show(args) => args.json,
            Self::Rm(args) => args.removal.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &TemplateCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        TemplateCommand::Build(args) => build::run(args, context),
        TemplateCommand::Commit(args) => commit::run(args, context),
        TemplateCommand::Ls(args) => ls::run(args, context),
        TemplateCommand::Show(args) => show::run(args, context),
        TemplateCommand::Rm(args) => rm::run(args, context),
    }
}
