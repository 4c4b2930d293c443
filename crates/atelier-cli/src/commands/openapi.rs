//! `atelier openapi`: the description of the API for other programs.

use crate::context::Context;
use crate::failure::Failure;
use crate::output::print_json;

/// Writes the document.
pub(crate) fn run(context: &Context<'_>) -> Result<u8, Failure> {
    print_json(&context.hooks.openapi())?;
    Ok(0)
}
