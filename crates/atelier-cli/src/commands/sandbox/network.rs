//! `atelier sandbox network`: what the network lets through, shown or replaced.

use atelier_api::sandbox::{SandboxNetwork, SandboxNetworkInput};
use clap::Args;

use super::args::{NetworkArgs, SandboxArg};
use super::change::changed;
use super::show::{network, show};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier sandbox network dev                                     what it is
  atelier sandbox network dev --allow pypi.org:443 --allow '*.pythonhosted.org:443'
  atelier sandbox network dev --network open --deny 10.0.0.0/8
  atelier sandbox network dev --network none
  pass show api-rules | atelier sandbox network dev --rules -     headers that never enter it

The new policy replaces the old one as a whole, and counts at once.";

/// Arguments of `atelier sandbox network`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct NetworkVerbArgs {
    #[command(flatten)]
    pub sandbox: SandboxArg,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    #[command(flatten)]
    pub policy: NetworkArgs,
}

/// Shows it, or replaces it when something is said about it.
pub(crate) fn run(args: &NetworkVerbArgs, context: &Context<'_>) -> Result<u8, Failure> {
    if let Some(policy) = args.policy.policy()? {
        let sandbox = args.sandbox.sandbox.clone();
        let input = SandboxNetworkInput { sandbox, network: policy };
        let done = format!("the network is {} for", network(&input.network));
        return changed(&context.call::<SandboxNetwork>(&input)?, &done, args.json);
    }
    let policy = show(context, &args.sandbox)?.network;
    if args.json {
        print_json(&policy)?;
    } else {
        print(format!("{}\n", network(&policy)))?;
    }
    Ok(0)
}
