//! `atelier env`: environments, one verb a file.

mod apply;
mod back;
mod create;
mod diff;
mod down;
mod exec;
mod logs;
mod ls;
mod open;
mod recreate;
mod restart;
mod rm;
mod seed;
mod show;
mod status;
mod stop;
mod sync;
pub(crate) mod up;
mod url;

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
    /// Bring what changed in the project into an environment
    Sync(sync::SyncArgs),
    /// Make an environment anew under its name
    Recreate(recreate::RecreateArgs),
    /// Remove environments with everything in them
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Stop every command in an environment; files are kept
    Stop(stop::StopArgs),
    /// Start an environment's services, and wait until they are healthy
    Up(up::UpArgs),
    /// Stop an environment's services; their data is kept
    Down(down::DownArgs),
    /// Restart services
    Restart(restart::RestartArgs),
    /// Show what an environment's services are doing
    Status(status::StatusArgs),
    /// Run a command in the container of a service
    Exec(exec::ExecArgs),
    /// Show where a service is reached from this machine
    Url(url::UrlArgs),
    /// Open a service in the browser
    Open(url::UrlArgs),
    /// Show what the commands or services of an environment wrote
    Logs(logs::LogsArgs),
    /// Keep data that the services of new environments start with
    #[command(subcommand)]
    Seed(seed::SeedCommand),
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
            Self::Sync(args) => args.json,
            Self::Recreate(args) => args.json,
            Self::Rm(args) => args.json,
            Self::Stop(args) => args.json,
            Self::Logs(args) => args.json,
            Self::Up(args) => args.json,
            Self::Down(args) => args.json,
            Self::Restart(args) => args.json,
            Self::Status(args) => args.json,
            Self::Url(args) | Self::Open(args) => args.json,
            Self::Seed(command) => command.json(),
            Self::Exec(_) => false,
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
        EnvCommand::Exec(args) => exec::run(args, context),
        EnvCommand::Apply(args) => apply::run(args, context),
        EnvCommand::Sync(args) => sync::run(args, context),
        EnvCommand::Recreate(args) => recreate::run(args, context),
        EnvCommand::Rm(args) => rm::run(args, context),
        EnvCommand::Stop(args) => stop::run(args, context),
        EnvCommand::Logs(args) => logs::run(args, context),
        EnvCommand::Up(args) => up::run(args, context),
        EnvCommand::Down(args) => down::run(args, context),
        EnvCommand::Restart(args) => restart::run(args, context),
        EnvCommand::Status(args) => status::run(args, context),
        EnvCommand::Url(args) => url::run(args, context),
        EnvCommand::Open(args) => open::run(args, context),
        EnvCommand::Seed(command) => seed::dispatch(command, context),
    }
}
