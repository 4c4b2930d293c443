//! `atelier tool unplug`: tools are taken out of coding agents.

use super::desk::Desk;
use super::plug::{WiringArgs, finish};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::note;

/// Takes them out.
pub(crate) fn run(args: &WiringArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let wiring = desk.wiring(args.scope(), args.force)?;
    let agents = wiring.agents_with(&args.names, &args.agents.names())?;
    if agents.is_empty() && !args.json {
        note("no agent on this machine has it");
    }
    finish(args.json, &wiring.unplug(&args.names, &agents)?)
}
