//! `atelier env`: environments, one verb a file.

mod apply;
mod create;
mod diff;
mod logs;
mod ls;
mod rm;
mod show;
mod stop;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum EnvCommand {
    /// Make an environment
    Create(create::CreateArgs),
    /// List environments
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show one environment
    Show(show::ShowArgs),
    /// Show what an environment changed against the project
    Diff(diff::DiffArgs),
    /// Bring an environment's changes back into the project
    Apply(apply::ApplyArgs),
    /// Remove environments with everything in them
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Stop every command in an environment; files are kept
    Stop(stop::StopArgs),
    /// Show what the commands in an environment wrote
    Logs(logs::LogsArgs),
}

impl EnvCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Create(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Show(args) => args.json,
            Self::Diff(args) => args.json,
            Self::Apply(args) => args.json,
            Self::Rm(args) => args.json,
            Self::Stop(args) => args.json,
            Self::Logs(args) => args.json,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &EnvCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        EnvCommand::Create(args) => create::run(args, context),
        EnvCommand::Ls(args) => ls::run(args, context),
        EnvCommand::Show(args) => show::run(args, context),
        EnvCommand::Diff(args) => diff::run(args, context),
        EnvCommand::Apply(args) => apply::run(args, context),
        EnvCommand::Rm(args) => rm::run(args, context),
        EnvCommand::Stop(args) => stop::run(args, context),
        EnvCommand::Logs(args) => logs::run(args, context),
    }
}
