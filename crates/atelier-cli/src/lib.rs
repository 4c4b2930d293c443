//! The command line: one verb, one file.
//!
//! What lives here is how a person speaks to Atelier: arguments, tables, terminals, exit codes.
//! What a command means is the control plane's business, or that of the [`Hooks`] which the binary
//! brings; no part's code is called from here.

mod args;
mod cli;
mod commands;
mod context;
mod default_name;
mod failure;
mod far;
mod hooks;
mod inside;
mod output;
mod progress;
mod run;
mod spawn;
mod system;
mod variables;

use clap::FromArgMatches;

pub use cli::command_line;
pub use hooks::{Hooks, ServeOptions};
pub use system::{
    Authorities, Resolver, ResolverPlan, ResolverRemoved, ResolverStatus, ResolverTarget,
    TrustPlan, TrustTarget,
};

use crate::cli::Cli;
use crate::context::Context;
use crate::failure::Failure;

/// Does what the process's arguments say and gives the code that it ends with.
pub fn main(hooks: &dyn Hooks) -> std::process::ExitCode {
    let mut command = command_line().version(hooks.version());
    let parsed = command
        .try_get_matches_from_mut(std::env::args_os())
        .and_then(|matches| Cli::from_arg_matches(&matches));
    let cli = match parsed {
        Ok(cli) => cli,
        Err(error) => {
            // A reader that went away before the help was out needs none.
            let _ = error.print();
            return u8::try_from(error.exit_code()).unwrap_or(2).into();
        }
    };
    let json = cli.command.json();
    let context = Context::new(hooks);
    let result = far::machine(cli.on, &cli.command).and_then(|on| {
        let context = context.on(on);
        commands::dispatch(cli.command, &context).map_err(|failure| context.explained(failure))
    });
    result.unwrap_or_else(|failure: Failure| failure.report(json)).into()
}
