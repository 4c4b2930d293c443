//! `tool recipient`: the machines that can read the home's secrets, by their public keys.

use std::path::PathBuf;

use serde_json::json;

use super::{record, registry};
use crate::context::Context;
use crate::home::{Manifest, Writer};
use crate::{Home, Result};

/// Encrypts every secret anew for these recipients; gives the files that it wrote.
pub type Reseal<'a> = &'a dyn Fn(&[String]) -> Result<Vec<PathBuf>>;

/// The recipients of the manifest. This machine's own key reads what it writes whether it is there or not.
///
/// # Errors
/// [`crate::ToolsError::NoHome`], and when the manifest is not valid.
pub fn recipients(home: &Home) -> Result<Vec<String>> {
    Ok(Manifest::read(home)?.wanted().recipients.clone())
}

/// Lets another machine read the secrets. Doing it again seals them again, which also finishes what was
/// interrupted.
///
/// # Errors
/// [`crate::ToolsError::Busy`], what `reseal` says, and [`crate::ToolsError::Git`].
pub fn recipient_add(
    home: &Home,
    key: &str,
    reseal: Reseal<'_>,
    context: &Context<'_>,
) -> Result<()> {
    change(home, &format!("tool recipient add {key}"), reseal, context, |list| {
        if !list.iter().any(|other| other == key) {
            list.push(key.to_owned());
        }
    })
}

/// Lets it no longer read what is sealed from now on. What git's history has it can still read.
///
/// # Errors
/// As [`recipient_add`].
pub fn recipient_remove(
    home: &Home,
    key: &str,
    reseal: Reseal<'_>,
    context: &Context<'_>,
) -> Result<()> {
    change(home, &format!("tool recipient remove {key}"), reseal, context, |list| {
        list.retain(|other| other != key);
    })
}

fn change(
    home: &Home,
    message: &str,
    reseal: Reseal<'_>,
    context: &Context<'_>,
    edit: impl FnOnce(&mut Vec<String>),
) -> Result<()> {
    let writer = Writer::take(home, message, context)?;
    writer.ready(&["tools.yaml"])?;
    let mut list = writer.manifest.wanted().recipients.clone();
    edit(&mut list);
    // Sealed first: a list with a key for which nothing is sealed would be a lie.
    let files = reseal(&list)?;
    let manifest = writer.manifest.with(|value| value["recipients"] = json!(list))?;
    registry::save(&writer, &manifest, message.to_owned(), context)?;
    record::commit(&writer, &format!("{message}: secrets sealed anew"), &files).map(drop)
}
