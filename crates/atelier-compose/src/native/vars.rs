//! Variables in the values of a tree; keys are not read.

use super::at::At;
use super::yaml::{Node, Yaml};
use crate::error::Result;
use crate::interpolate::{Lookup, interpolate};

/// Replaces the variables of every text below a node.
pub(crate) fn fill(at: &At<'_>, node: &mut Node, lookup: Lookup<'_>) -> Result<()> {
    match &mut node.value {
        Yaml::Text(text) if text.contains('$') => {
            let at = At { place: node.place, ..at.clone() };
            *text = interpolate(text, lookup).map_err(|why| at.invalid(why))?;
        }
        Yaml::List(items) => {
            for (index, item) in items.iter_mut().enumerate() {
                fill(&at.down(&index.to_string(), item.place), item, lookup)?;
            }
        }
        Yaml::Map(entries) => {
            for (key, value) in entries {
                fill(&at.down(&key.name, key.place), value, lookup)?;
            }
        }
        _ => {}
    }
    Ok(())
}
