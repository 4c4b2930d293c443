//! `atelier volume show`: everything about one volume.

use atelier_api::volume::{VolumeDetail, VolumeRef, VolumeShow};
use clap::Args;

use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, print, print_json, size};

/// Arguments of `atelier volume show`.
#[derive(Debug, Args)]
#[command(after_help = "The token that opens its files over the E2B API is in the JSON only.")]
pub(crate) struct ShowArgs {
    /// The volume: its name or its id
    #[arg(value_name = "VOLUME")]
    pub volume: String,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}

/// Shows it.
pub(crate) fn run(args: &ShowArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<VolumeShow>(&VolumeRef { volume: args.volume.clone() })?;
    if args.json {
        print_json(&found)?;
    } else {
        print(text(&found))?;
    }
    Ok(0)
}

fn text(detail: &VolumeDetail) -> String {
    let one = &detail.volume;
    let mut lines = vec![
        ("id", one.id.clone()),
        ("name", one.name.clone()),
        ("made", format!("{} ago", age(one.created_at))),
        ("size", size(detail.size_bytes)),
    ];
    lines.extend(one.sandboxes.iter().map(|sandbox| ("sandbox", sandbox.clone())));
    lines.iter().map(|(name, value)| format!("{name:<10}{value}\n")).collect()
}
