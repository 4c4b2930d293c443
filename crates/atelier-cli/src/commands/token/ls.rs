//! `atelier token ls`: the tokens there are.

use atelier_api::system::Nothing;
use atelier_api::token::{Token, TokenList};
use clap::Args;
use jiff::Timestamp;

use super::word;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, table, until};

/// Arguments of `atelier token ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<TokenList>(&Nothing {})?;
    if args.json {
        print_json(&found)?;
    } else {
        let rows: Vec<_> = found.into_iter().map(row).collect();
        print(table(["NAME", "BEGINS", "OPENS", "AGE", "ENDS IN", "LAST USED"], &rows))?;
    }
    Ok(0)
}

fn row(token: Token) -> [String; 6] {
    let scopes: Vec<_> = token.scopes.iter().map(|scope| word(*scope)).collect();
    [
        token.name,
        token.prefix,
        scopes.join(", "),
        age(token.created_at),
        token.expires_at.map_or_else(|| "-".to_owned(), |end| until(end, Timestamp::now())),
        token.last_used_at.map_or_else(|| "never".to_owned(), |at| format!("{} ago", age(at))),
    ]
}
