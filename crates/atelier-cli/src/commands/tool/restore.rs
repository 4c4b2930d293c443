//! `atelier tool restore`: saved data takes the present data's place.

use atelier_plugin::Slug;
use clap::Args;

use super::args::slug;

/// Arguments of `atelier tool restore`.
#[derive(Debug, Args)]
pub(crate) struct RestoreArgs {
    /// The tool
    #[arg(value_name = "NAME", value_parser = slug)]
    pub name: Slug,
    /// Which backup; none: the last one
    #[arg(value_name = "BACKUP")]
    pub backup: Option<String>,
    /// Do not ask
    #[arg(short, long)]
    pub yes: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
