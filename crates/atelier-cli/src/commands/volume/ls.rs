//! `atelier volume ls`: the volumes there are.

use atelier_api::system::Nothing;
use atelier_api::volume::{Volume, VolumeList};

use crate::args::ListArgs;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::age;

/// Lists them.
pub(crate) fn run(args: &ListArgs, context: &Context<'_>) -> Result<u8, Failure> {
    let found = context.call::<VolumeList>(&Nothing {})?;
    args.show(found, |one| one.name.clone(), ["NAME", "ID", "SANDBOXES", "AGE"], row)
}

fn row(one: Volume) -> [String; 4] {
    let id = one.id.chars().take(12).collect();
    [one.name, id, one.sandboxes.len().to_string(), age(one.created_at)]
}
