//! `atelier tool init`: a home for tools, or the clone of one.

use atelier_tools::verbs;
use clap::Args;

use super::desk::Desk;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{print, print_json};

/// Arguments of `atelier tool init`.
#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Clone this home of another machine instead of making an empty one
    #[arg(long, value_name = "GIT-URL", conflicts_with = "registry")]
    pub from: Option<String>,
    /// The registry of a new home, instead of ATK's public one
    #[arg(long, value_name = "URL")]
    pub registry: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Makes it, or takes up the one that is there.
pub(crate) fn run(args: &InitArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let desk = Desk::new(context, false, args.json)?;
    let changing = desk.context();
    let done = match &args.from {
        Some(url) => verbs::clone(&desk.home, url, &changing.get())?,
        None => verbs::init(&desk.home, args.registry.as_deref(), &changing.get())?,
    };
    if args.json {
        print_json(&done)?;
        return Ok(0);
    }
    let begin = match (done.existing, done.tools) {
        (false, _) => "atelier tool search    shows what there is".to_owned(),
        (true, 0) => "it has no tools yet".to_owned(),
        (true, n) => format!("atelier tool install --all --frozen    brings its {n} tools here"),
    };
    print(format!("{}\n{begin}\n", done.path))?;
    Ok(0)
}
