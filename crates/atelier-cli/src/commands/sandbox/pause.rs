//! `atelier sandbox pause`: nothing runs, and processes and memory are kept.

use atelier_api::sandbox::SandboxPause;

use super::change::ChangeArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Does it.
pub(crate) fn run(args: &ChangeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    args.change::<SandboxPause>(context, "pausing", "paused")
}
