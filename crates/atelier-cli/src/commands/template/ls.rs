//! `atelier template ls`: the templates there are.

use atelier_api::image::{Template, TemplateList};
use atelier_api::system::Nothing;
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, table};

/// Arguments of `atelier template ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only names, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<TemplateList>(&Nothing {})?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        print(found.iter().map(|one| format!("{}\n", one.name)).collect::<String>())?;
    } else {
        let rows: Vec<_> = found.into_iter().map(row).collect();
        print(table(["NAME", "FROM", "REPOSITORY", "SIZE", "BUILT"], &rows))?;
    }
    Ok(0)
}

fn row(one: Template) -> [String; 5] {
    [
        one.name,
        if one.spec.image.is_empty() { "-".to_owned() } else { one.spec.image },
        one.spec.repository.unwrap_or_else(|| "-".to_owned()),
        size(one.size_bytes),
        format!("{} ago", age(one.built_at)),
    ]
}
