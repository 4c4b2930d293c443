//! Arguments that several verbs share.

use atelier_api::Fault;
use atelier_plugin::Slug;

/// The name of a tool, or what is wrong with it.
pub(crate) fn slug(text: &str) -> Result<Slug, String> {
    text.parse::<Slug>().map_err(|bad| {
        let hints: String = bad.hints().iter().map(|hint| format!("; {hint}")).collect();
        format!("{bad}{hints}")
    })
}
