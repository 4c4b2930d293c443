//! `atelier template rm`: templates go; sandboxes made from them stay.

use atelier_api::image::{TemplateRef, TemplateRemove};
use clap::Args;

use crate::commands::many::{Removal, remove_each};
use crate::context::Context;
use crate::failure::Failure;

/// Arguments of `atelier template rm`.
#[derive(Debug, Args)]
pub(crate) struct RmArgs {
    /// The templates' names
    #[arg(value_name = "TEMPLATE", required = true)]
    pub templates: Vec<String>,
    #[command(flatten)]
    pub removal: Removal,
}

/// Removes them, as many as can be.
pub(crate) fn run(args: &RmArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let question = format!("Remove the templates {}?", args.templates.join(", "));
    let names = args.templates.clone();
    remove_each::<TemplateRemove, _>(context, &args.removal, &question, names, |template| {
        TemplateRef { template }
    })
}
