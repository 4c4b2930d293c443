//! The tree of commands. What each takes and does is in its own file.

use clap::{CommandFactory, Parser, Subcommand};

use crate::commands::{
    audit, completions, config, docs, doctor, env, init, man, run, serve, status, stop, version,
};

/// A self-hosted workshop for developers and AI agents.
///
/// Each environment is an isolated copy of your project, made in milliseconds, in which commands
/// and agents run without touching yours.
#[derive(Debug, Parser)]
#[command(
    name = "atelier",
    subcommand_required = true,
    arg_required_else_help = true,
    disable_help_subcommand = true,
    after_help = "Begin with: atelier run fix-login -- npm test"
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a command in an environment of this project, which is made when it is new
    Run(Box<run::RunArgs>),
    /// Create, list, compare, apply and remove environments
    #[command(subcommand, visible_alias = "environment")]
    Env(Box<env::EnvCommand>),
    /// Show how the control plane is
    Status(status::StatusArgs),
    /// Stop the control plane; environments go on
    Stop(stop::StopArgs),
    /// Check this machine and what Atelier keeps on it
    Doctor(doctor::DoctorArgs),
    /// Show every setting, and where it comes from
    Config(config::ConfigArgs),
    /// Write a commented atelier.yaml for this project
    Init(init::InitArgs),
    /// Run the control plane (commands start it by themselves)
    Serve(serve::ServeArgs),
    /// Show who changed what
    Audit(audit::AuditArgs),
    /// Follow what happens, a JSON object on each line
    Events,
    /// Write the OpenAPI document of the API
    Openapi,
    /// Write a completion script for a shell
    Completions(completions::CompletionsArgs),
    /// Write the manual pages
    Man(man::ManArgs),
    /// Write the reference pages
    #[command(hide = true)]
    Docs(docs::DocsArgs),
    /// Show the version
    Version(version::VersionArgs),
}

impl Command {
    /// Whether the command was asked for JSON: then its errors are JSON as well.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Env(command) => command.json(),
            Self::Status(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Config(args) => args.json,
            Self::Audit(args) => args.json,
            Self::Version(args) => args.json,
            Self::Events | Self::Openapi => true,
            Self::Run(_)
            | Self::Stop(_)
            | Self::Init(_)
            | Self::Serve(_)
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Docs(_) => false,
        }
    }
}

/// The whole command line, for reference pages.
#[must_use]
pub fn command_line() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_sound() {
        command_line().debug_assert();
    }
}
