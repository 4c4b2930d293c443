//! `atelier sandbox`: isolated machines, one verb a file.

mod args;
mod change;
mod cp;
mod create;
pub(crate) mod exec;
mod extend;
mod fork;
mod forward;
mod fs;
mod kill;
mod logs;
mod ls;
mod metrics;
mod network;
mod pause;
mod port;
mod ps;
mod rename;
mod restore;
mod resume;
mod rm;
mod run;
mod shell;
mod show;
mod snapshot;
mod ssh;
mod start;
mod stop;

use clap::Subcommand;

pub(crate) use args::{LimitArgs, pair, seconds};
pub(crate) use show::limits;

use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum SandboxCommand {
    /// Make a sandbox and start it
    Create(Box<create::CreateArgs>),
    /// Run a command in a sandbox of its own, which is removed afterwards
    Run(Box<run::RunArgs>),
    /// List sandboxes
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Show one sandbox
    #[command(visible_alias = "info")]
    Show(show::ShowArgs),
    /// Run a command in a sandbox
    Exec(exec::ExecArgs),
    /// Open a shell in a sandbox
    Shell(shell::ShellArgs),
    /// Copy files and folders into a sandbox, or out of it
    Cp(cp::CpArgs),
    /// List, read, write and watch a sandbox's files
    #[command(subcommand)]
    Fs(fs::FsCommand),
    /// List the commands that run in a sandbox
    Ps(ps::PsArgs),
    /// Show what commands wrote
    Logs(logs::LogsArgs),
    /// Send a signal to a command
    Kill(kill::KillArgs),
    /// List open ports, and where they are reached
    Port(port::PortArgs),
    /// Lead a port of this machine into a sandbox
    Forward(forward::ForwardArgs),
    /// Go into a sandbox with ssh
    Ssh(ssh::SshArgs),
    /// Start a sandbox that was stopped
    Start(change::ChangeArgs),
    /// End every process in a sandbox; its files are kept
    Stop(change::ChangeArgs),
    /// Pause a sandbox; processes and memory are kept
    Pause(change::ChangeArgs),
    /// Let a paused sandbox go on, or start one that was stopped
    Resume(resume::ResumeArgs),
    /// Set how long a sandbox still lives
    Extend(extend::ExtendArgs),
    /// Give a sandbox another name
    Rename(rename::RenameArgs),
    /// Show or replace what a sandbox's network lets through
    Network(network::NetworkVerbArgs),
    /// Save a sandbox's state
    Snapshot(snapshot::SnapshotArgs),
    /// Take a sandbox back to a snapshot
    Restore(restore::RestoreArgs),
    /// Make copies of a sandbox as it is now
    Fork(fork::ForkArgs),
    /// Show what a sandbox used, over time
    Metrics(metrics::MetricsArgs),
    /// Remove sandboxes with everything in them
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
}

impl SandboxCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Create(args) => args.json,
            Self::Ls(args) => args.json,
            Self::Show(args) => args.json,
            Self::Fs(command) => command.json(),
            Self::Ps(args) => args.json,
            Self::Port(args) => args.json,
            Self::Start(args) | Self::Stop(args) | Self::Pause(args) => args.json,
            Self::Resume(args) => args.json,
            Self::Extend(args) => args.json,
            Self::Rename(args) => args.json,
            Self::Network(args) => args.json,
            Self::Snapshot(args) => args.json,
            Self::Restore(args) => args.json,
            Self::Fork(args) => args.json,
            Self::Metrics(args) => args.json,
            Self::Rm(args) => args.removal.json,
            Self::Run(_)
            | Self::Exec(_)
            | Self::Shell(_)
            | Self::Cp(_)
            | Self::Logs(_)
            | Self::Kill(_)
            | Self::Forward(_)
            | Self::Ssh(_) => false,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &SandboxCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        SandboxCommand::Create(args) => create::run(args, context),
        SandboxCommand::Run(args) => run::run(args, context),
        SandboxCommand::Ls(args) => ls::run(args, context),
        SandboxCommand::Show(args) => show::run(args, context),
        SandboxCommand::Exec(args) => exec::run(args, context),
        SandboxCommand::Shell(args) => shell::run(args, context),
        SandboxCommand::Cp(args) => cp::run(args, context),
        SandboxCommand::Fs(command) => fs::dispatch(command, context),
        SandboxCommand::Ps(args) => ps::run(args, context),
        SandboxCommand::Logs(args) => logs::run(args, context),
        SandboxCommand::Kill(args) => kill::run(args, context),
        SandboxCommand::Port(args) => port::run(args, context),
        SandboxCommand::Forward(args) => forward::run(args, context),
        SandboxCommand::Ssh(args) => ssh::run(args, context),
        SandboxCommand::Start(args) => start::run(args, context),
        SandboxCommand::Stop(args) => stop::run(args, context),
        SandboxCommand::Pause(args) => pause::run(args, context),
        SandboxCommand::Resume(args) => resume::run(args, context),
        SandboxCommand::Extend(args) => extend::run(args, context),
        SandboxCommand::Rename(args) => rename::run(args, context),
        SandboxCommand::Network(args) => network::run(args, context),
        SandboxCommand::Snapshot(args) => snapshot::run(args, context),
        SandboxCommand::Restore(args) => restore::run(args, context),
        SandboxCommand::Fork(args) => fork::run(args, context),
        SandboxCommand::Metrics(args) => metrics::run(args, context),
        SandboxCommand::Rm(args) => rm::run(args, context),
    }
}
