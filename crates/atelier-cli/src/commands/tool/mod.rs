//! `atelier tool`: MCP servers, local services and skills, one verb a file. It works on the user's
//! own files and starts no control plane.

mod add;
mod args;
mod ask;
mod backup;
mod become_it;
pub(crate) mod desk;
mod doctor;
mod exec;
mod git;
pub(crate) mod help;
mod import_atk;
mod init;
mod install;
mod keep;
mod logs;
mod ls;
mod mcp;
mod outdated;
mod plug;
mod profile;
mod recipient;
mod registry;
mod remove;
mod restart;
mod restore;
mod run;
mod sandboxed;
mod search;
mod setup;
mod shim;
mod show;
mod start;
mod status;
mod stop;
mod sync;
mod unplug;
mod upgrade;
mod validate;

use clap::Subcommand;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
#[command(disable_help_subcommand = true)]
pub(crate) enum ToolCommand {
    /// Make the home of tools, or clone another machine's
    Init(init::InitArgs),
    /// Search the registries
    Search(search::SearchArgs),
    /// Say everything that is wrong with a plugin
    Validate(validate::ValidateArgs),
    /// Install a tool from a registry, a repository or a folder
    Add(add::AddArgs),
    /// Remove tools, from every agent as well
    #[command(visible_alias = "rm")]
    Remove(remove::RemoveArgs),
    /// Bring tools to their newest version, or to a certain one
    Upgrade(upgrade::UpgradeArgs),
    /// List tools that have newer versions
    Outdated(outdated::OutdatedArgs),
    /// List the installed tools
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show one tool in full
    Show(show::ShowArgs),
    /// Show what a tool's authors say of it
    Help(help::HelpArgs),
    /// Give a tool its settings and secrets
    Setup(setup::SetupArgs),
    /// Start services of tools
    Start(start::StartArgs),
    /// Stop services of tools
    Stop(stop::StopArgs),
    /// Stop services and start them again
    Restart(restart::RestartArgs),
    /// Show how the services are
    Status(status::StatusArgs),
    /// Show what a service wrote
    Logs(logs::LogsArgs),
    /// Run a script of a tool
    Run(run::RunArgs),
    /// Be the MCP server of a tool, with its settings; agents are given this
    Exec(exec::ExecArgs),
    /// Install everything as the lock says
    Install(install::InstallArgs),
    /// Check the tools, and mend them
    Doctor(doctor::DoctorArgs),
    /// Wire tools into coding agents
    Plug(plug::WiringArgs),
    /// Take tools out of coding agents
    Unplug(plug::WiringArgs),
    /// Show a tool's MCP server, and whether it answers
    Mcp(mcp::McpArgs),
    /// Save a tool's data
    Backup(backup::BackupArgs),
    /// Bring saved data back
    Restore(restore::RestoreArgs),
    /// Send the home to its remote, and fetch from it
    Sync(sync::SyncArgs),
    /// Run git in the home
    Git(git::GitArgs),
    /// List, add and remove registries
    #[command(subcommand)]
    Registry(registry::RegistryCommand),
    /// List, add and remove the machines that can read the secrets
    #[command(subcommand)]
    Recipient(recipient::RecipientCommand),
    /// List, make and use sets of tools
    #[command(subcommand)]
    Profile(profile::ProfileCommand),
    /// Read a home of ATK into this one
    ImportAtk(import_atk::ImportAtkArgs),
    /// Stay beside the process of a tool
    #[command(hide = true)]
    Keep(keep::KeepArgs),
    /// Stand in for npx and uvx in plugins' scripts
    #[command(hide = true)]
    Shim(shim::ShimArgs),
}

impl ToolCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Init(args) => args.json,
            Self::Search(args) => args.json,
            Self::Validate(args) => args.json,
            Self::Add(args) => args.json,
            Self::Remove(args) => args.json,
            Self::Upgrade(args) => args.json,
            Self::Outdated(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Show(args) => args.json,
            Self::Setup(args) => args.json,
            Self::Start(args) => args.json,
            Self::Stop(args) => args.json,
            Self::Restart(args) => args.json,
            Self::Status(args) => args.json,
            Self::Install(args) => args.json,
            Self::Doctor(args) => args.json,
            Self::Plug(args) => args.json,
            Self::Unplug(args) => args.json,
            Self::Mcp(args) => args.json,
            Self::Backup(args) => args.json,
            Self::Restore(args) => args.json,
            Self::Sync(args) => args.json,
            Self::ImportAtk(args) => args.json,
            Self::Registry(command) => command.json(),
            Self::Profile(command) => command.json(),
            Self::Recipient(command) => command.json(),
            Self::Help(_)
            | Self::Logs(_)
            | Self::Run(_)
            | Self::Exec(_)
            | Self::Git(_)
            | Self::Keep(_)
            | Self::Shim(_) => false,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &ToolCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        ToolCommand::Init(args) => init::run(args, context),
        ToolCommand::Search(args) => search::run(args, context),
        ToolCommand::Validate(args) => validate::run(args, context),
        ToolCommand::Add(args) => add::run(args, context),
        ToolCommand::Remove(args) => remove::run(args, context),
        ToolCommand::Upgrade(args) => upgrade::run(args, context),
        ToolCommand::Outdated(args) => outdated::run(args, context),
        ToolCommand::Ls(args) => ls::run(args, context),
        ToolCommand::Show(args) => show::run(args, context),
        ToolCommand::Help(args) => help::run(args, context),
        ToolCommand::Setup(args) => setup::run(args, context),
        ToolCommand::Start(args) => start::run(args, context),
        ToolCommand::Stop(args) => stop::run(args, context),
        ToolCommand::Restart(args) => restart::run(args, context),
        ToolCommand::Status(args) => status::run(args, context),
        ToolCommand::Logs(args) => logs::run(args, context),
        ToolCommand::Run(args) => run::run(args, context),
        ToolCommand::Exec(args) => exec::run(args, context),
        ToolCommand::Install(args) => install::run(args, context),
        ToolCommand::Doctor(args) => doctor::run(args, context),
        ToolCommand::Plug(args) => plug::run(args, context),
        ToolCommand::Unplug(args) => unplug::run(args, context),
        ToolCommand::Mcp(args) => mcp::run(args, context),
        ToolCommand::Backup(args) => backup::run(args, context),
        ToolCommand::Restore(args) => restore::run(args, context),
        ToolCommand::Sync(args) => sync::run(args, context),
        ToolCommand::Git(args) => git::run(args, context),
        ToolCommand::Registry(command) => registry::dispatch(command, context),
        ToolCommand::Recipient(command) => recipient::dispatch(command, context),
        ToolCommand::Profile(command) => profile::dispatch(command, context),
        ToolCommand::ImportAtk(args) => import_atk::run(args, context),
        ToolCommand::Keep(args) => keep::run(args, context),
        ToolCommand::Shim(args) => shim::run(args, context),
    }
}
