//! `atelier token revoke`: tokens that open nothing any more.

use atelier_api::token::{TokenRef, TokenRevoke};
use clap::Args;

use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier token revoke`.
#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// The tokens: names or ids
    #[arg(value_name = "TOKEN", required = true)]
    pub tokens: Vec<String>,
    #[command(flatten)]
    pub removal: Removal,
}

/// Revokes them, as many as can be.
pub(crate) fn run(args: &RevokeArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let question = format!("Revoke {}? Whoever uses them is shut out.", args.tokens.join(", "));
    let names = args.tokens.clone();
    remove_each::<TokenRevoke, _>(context, &args.removal, &question, names, |token| TokenRef {
        token,
    })
}
