//! `atelier secret rm`: values that nobody is to use any more.

use atelier_api::secret::{SecretRef, SecretRemove};
use clap::Args;

use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier secret rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The secrets: names or ids
    #[arg(value_name = "SECRET", required = true)]
    pub secrets: Vec<String>,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, as many as can be.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let question = format!("Remove the secrets {}?", args.secrets.join(", "));
    let each = args.secrets.clone();
    remove_each::<SecretRemove, _>(context, &args.removal, &question, each, |secret| SecretRef {
        secret,
    })
}
