//! Removing several things in one command: the question, the answers, the exit code.

use atelier_api::system::Nothing;
use atelier_api::{Operation, Problem};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{confirm, print, print_json};

/// How things are removed.
#[derive(Debug, Args)]
pub(crate) struct Removal {
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Removes each of `names` when the user agrees. The exit code is that of the first that cannot be
/// removed.
pub(crate) fn remove_each<O: Operation<Output = Nothing>, N: ToString + Clone>(
    context: &Context<'_>,
    removal: &Removal,
    question: &str,
    names: Vec<N>,
    input: impl Fn(N) -> O::Input,
) -> Result<u8, Failure> {
    if names.is_empty() || !(removal.yes || confirm(question)?) {
        return Ok(0);
    }
    let plane = context.control_plane()?;
    let (mut removed, mut problems) = (Vec::new(), Vec::new());
    context.wait(async {
        for name in names {
            match plane.call::<O>(&input(name.clone())).await {
                Ok(Nothing {}) => removed.push(name.to_string()),
                Err(error) => problems.push(Problem::from(error)),
            }
        }
        Ok(())
    })?;
    if removal.json {
        print_json(&removed)?;
    } else {
        print(removed.iter().map(|name| format!("removed {name}\n")).collect::<String>())?;
    }
    let codes: Vec<_> =
        problems.into_iter().map(|problem| Failure::from(problem).report(removal.json)).collect();
    codes.first().map_or(Ok(0), |code| Err(Failure::Code(*code)))
}
