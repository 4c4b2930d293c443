//! What verbs share that change a sandbox and show it afterwards.

use atelier_api::Operation;
use atelier_api::sandbox::{Sandbox, SandboxRef};
use clap::Args;

use super::args::SandboxArg;
use super::ls::called;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of verbs that take nothing but a sandbox.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

impl ChangeArgs {
    /// Makes the change; `done` says it, before the sandbox's name.
    pub(super) fn change<O: Operation<Input = SandboxRef, Output = Sandbox>>(
        &self,
        context: &Context<'_>,
        doing: &str,
        done: &str,
    ) -> Result<u8, Failure> {
        let input = SandboxRef { sandbox: self.sandbox.sandbox.clone() };
        let what = format!("{doing} {}", input.sandbox);
        changed(&context.call_slowly::<O>(&what, &input)?, done, self.json)
    }
}

/// Says what a sandbox has become.
pub(super) fn changed(sandbox: &Sandbox, done: &str, json: bool) -> Result<u8, Failure> {
    if json {
        print_json(sandbox)?;
    } else {
        print(format!("{done} {}\n", called(sandbox)))?;
    }
    Ok(0)
}
