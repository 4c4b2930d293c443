//! `atelier template ls`: the templates there are.

use atelier_api::image::{Template, TemplateList};
use atelier_api::system::Nothing;

use crate::args::ListArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::{age, size};

/// Lists them.
pub(crate) fn run(args: &ListArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<TemplateList>(&Nothing {})?;
    args.show(found, |one| one.name.clone(), ["NAME", "FROM", "REPOSITORY", "SIZE", "BUILT"], row)
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
