//! `atelier secret ls`: the secrets there are.

use atelier_api::secret::{Secret, SecretList};
use atelier_api::system::Nothing;

use crate::args::ListArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::age;

/// Lists them.
pub(crate) fn run(args: &ListArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<SecretList>(&Nothing {})?;
    args.show(found, |one| one.name.clone(), ["NAME", "VERSION", "CHANGED", "AGE"], row)
}

fn row(one: Secret) -> [String; 4] {
    [one.name, one.version.to_string(), age(one.updated_at), age(one.created_at)]
}
