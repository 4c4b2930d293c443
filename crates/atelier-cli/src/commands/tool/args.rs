//! Arguments that several verbs share.

use atelier_api::Fault;
use atelier_plugin::Slug;
use clap::Args;

/// The name of a tool, or what is wrong with it.
pub(crate) fn slug(text: &str) -> Result<Slug, String> {
    text.parse::<Slug>().map_err(|bad| {
        let hints: String = bad.hints().iter().map(|hint| format!("; {hint}")).collect();
        format!("{bad}{hints}")
    })
}

/// Some tools, or all of them.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(crate) struct SomeOrAll {
    /// The tools
    #[arg(value_name = "NAME", value_parser = slug)]
    pub names: Vec<Slug>,
    /// Every tool
    #[arg(short, long)]
    pub all: bool,
}
