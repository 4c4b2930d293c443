//! `atelier sandbox fs`: a sandbox's files, one verb a file.

mod cat;
mod ls;
mod mkdir;
mod mv;
mod rm;
mod stat;
mod watch;
mod write;

use clap::{Args, Subcommand};

use super::args::SandboxArg;
use crate::context::Context;
use crate::failure::Failure;

/// Every verb.
#[derive(Debug, Subcommand)]
pub(crate) enum FsCommand {
    /// List a folder
    #[command(visible_alias = "list")]
    Ls(ls::LsArgs),
    /// Write files to standard output
    Cat(cat::CatArgs),
    /// Write standard input to a file
    Write(write::WriteArgs),
    /// Rename, with the folders above the new name
    Mv(mv::MvArgs),
    /// Remove files and folders
    #[command(visible_alias = "remove")]
    Rm(rm::RmArgs),
    /// Make folders, with those above them
    Mkdir(mkdir::MkdirArgs),
    /// Show what is at a path
    Stat(stat::StatArgs),
    /// Follow what happens in a folder
    Watch(watch::WatchArgs),
}

/// A sandbox, and as which user its files are used.
#[derive(Debug, Args)]
pub(crate) struct FsArg {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// The user whose home relative paths begin at, and who owns what is made
    #[arg(short, long, value_name = "USER")]
    pub user: Option<String>,
}

impl FsCommand {
    /// Whether the command was asked for JSON.
    pub(crate) const fn json(&self) -> bool {
        match self {
            Self::Ls(args) => args.json,
            Self::Stat(args) => args.json,
            Self::Watch(args) => args.json,
            Self::Cat(_) | Self::Write(_) | Self::Mv(_) | Self::Rm(_) | Self::Mkdir(_) => false,
        }
    }
}

/// Does what was asked and gives the exit code.
pub(crate) fn dispatch(command: &FsCommand, context: &Context<'_>) -> Result<u8, Failure> {
    match command {
        FsCommand::Ls(args) => ls::run(args, context),
        FsCommand::Cat(args) => cat::run(args, context),
        FsCommand::Write(args) => write::run(args, context),
        FsCommand::Mv(args) => mv::run(args, context),
        FsCommand::Rm(args) => rm::run(args, context),
        FsCommand::Mkdir(args) => mkdir::run(args, context),
        FsCommand::Stat(args) => stat::run(args, context),
        FsCommand::Watch(args) => watch::run(args, context),
    }
}

/// Does something with a sandbox's guest.
fn with_guest<T>(
    context: &Context<'_>,
    at: &FsArg,
    work: impl AsyncFnOnce(atelier_client::guest::client::Guest) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let plane = context.control_plane()?;
    let inside = super::exec::inside(&plane, &at.sandbox, at.user.as_ref());
    context.wait(async { work(inside.guest().await?).await })
}
