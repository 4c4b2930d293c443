//! `atelier tool backup`: a tool's data, saved; and the list of what was saved.

use atelier_plugin::Slug;
use clap::Args;

use super::args::slug;

/// Arguments of `atelier tool backup`.
#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// The tools
    #[arg(value_name = "NAME", value_parser = slug, required_unless_present = "all")]
    pub names: Vec<Slug>,
    /// Every tool
    #[arg(short, long, conflicts_with = "names")]
    pub all: bool,
    /// List the backups instead of making one
    #[arg(short, long)]
    pub list: bool,
    /// Read a backup to its end and compare every file, instead of making one
    #[arg(long, value_name = "BACKUP", conflicts_with_all = ["all", "list"])]
    pub verify: Option<String>,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
}
