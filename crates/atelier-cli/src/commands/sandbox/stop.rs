//! `atelier sandbox stop`: the processes go, the files stay.

use atelier_api::sandbox::SandboxStop;

use super::change::ChangeArgs;
use crate::context::Context;
use crate::failure::Failure;

/// Does it.
pub(crate) fn run(args: &ChangeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    args.change::<SandboxStop>(context, "stopping", "stopped, with its files kept:")
}
