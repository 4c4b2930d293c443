//! `atelier token create`: a new token; its secret is shown this once.

use atelier_api::token::{Scope, TokenCreate, TokenCreateInput};
use clap::Args;

use super::{Opens, word};
use crate::commands::sandbox::seconds;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{note, print, print_json};

const EXAMPLES: &str = "\
Examples:
  atelier token create laptop
  export E2B_API_KEY=$(atelier token create ci --expires-in 30d)";

/// Arguments of `atelier token create`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct CreateArgs {
    /// A name to know it by
    #[arg(value_name = "NAME")]
    pub name: String,
    /// What it opens; sandboxes when left out (repeatable)
    #[arg(long, value_name = "SCOPE")]
    pub scope: Vec<Opens>,
    /// How long it counts, such as 30d; until it is revoked when left out
    #[arg(long, value_name = "TIME", value_parser = seconds)]
    pub expires_in: Option<u64>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes it; the secret is alone on standard output.
pub(crate) fn run(args: &CreateArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let input = TokenCreateInput {
        name: args.name.clone(),
        scopes: args.scope.iter().copied().map(Scope::from).collect(),
        expires_in: args.expires_in,
    };
    let made = context.call::<TokenCreate>(&input)?;
    if args.json {
        print_json(&made)?;
        return Ok(0);
    }
    print(format!("{}\n", made.secret))?;
    let opens: Vec<_> = made.token.scopes.iter().map(|scope| word(*scope)).collect();
    let opens = opens.join(", ");
    note(&format!("the token {} opens {opens}; its secret is shown this once", made.token.name));
    Ok(0)
}
