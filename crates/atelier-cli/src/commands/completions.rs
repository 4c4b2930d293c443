//! `atelier completions`: a script that completes commands and flags in a shell.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::cli::Cli;
use crate::failure::Failure;
use crate::output::print;

/// Arguments of `atelier completions`.
#[derive(Debug, Args)]
#[command(
    after_help = "For bash: atelier completions bash > ~/.local/share/bash-completion/completions/atelier"
)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub shell: Shell,
}

/// Writes the script.
pub(crate) fn run(args: &CompletionsArgs) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "atelier", &mut script);
    print(script)?;
    Ok(0)
}
