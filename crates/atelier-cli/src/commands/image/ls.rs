//! `atelier image ls`: the images there are.

use atelier_api::image::{Image, ImageList};
use atelier_api::system::Nothing;
use clap::Args;

use super::{called, short};
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size, table};

/// Arguments of `atelier image ls`.
#[derive(Debug, Args)]
pub(crate) struct LsArgs {
    /// Only names and ids, one on each line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Lists them.
pub(crate) fn run(args: &LsArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<ImageList>(&Nothing {})?;
    if args.json {
        print_json(&found)?;
    } else if args.quiet {
        print(found.iter().map(|image| format!("{}\n", called(image))).collect::<String>())?;
    } else {
        let rows: Vec<_> = found.iter().flat_map(rows).collect();
        print(table(["NAME", "ID", "PLATFORM", "LAYERS", "SIZE", "AGE"], &rows))?;
    }
    Ok(0)
}

/// A row for each name.
fn rows(image: &Image) -> Vec<[String; 6]> {
    let row = |name: &str| {
        [
            name.to_owned(),
            short(&image.id),
            image.platform.clone(),
            image.layers.to_string(),
            size(image.size_bytes),
            age(image.created_at),
        ]
    };
    if image.names.is_empty() {
        return vec![row("-")];
    }
    image.names.iter().map(|name| row(name)).collect()
}
