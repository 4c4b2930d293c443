//! `atelier sandbox start`: one that was stopped runs again.

use atelier_api::sandbox::SandboxStart;

use super::change::ChangeArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Does it.
pub(crate) fn run(args: &ChangeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    args.change::<SandboxStart>(context, "starting", "started")
}
