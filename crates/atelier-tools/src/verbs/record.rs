//! Changes that others made in the home (settings, secrets, the user's `custom/`), as a commit like every other.

use std::path::{Path, PathBuf};

use crate::context::Context;
use crate::home::Writer;
use crate::{Home, Result};

/// Makes a change that writes whole files by itself, as the one writer, and commits those that it names. Nothing is
/// committed when the home's settings say so, or when nothing is other than before.
///
/// # Errors
/// [`crate::ToolsError::Busy`], what `change` says, and [`crate::ToolsError::Git`].
pub fn record<T>(
    home: &Home,
    message: &str,
    context: &Context<'_>,
    change: impl FnOnce() -> Result<(T, Vec<PathBuf>)>,
) -> Result<(T, Option<String>)> {
    let writer = Writer::take(home, message, context)?;
    writer.ready(&[])?;
    let (value, files) = change()?;
    Ok((value, commit(&writer, message, &files)?))
}

/// The commit alone.
pub(super) fn commit(writer: &Writer, message: &str, files: &[PathBuf]) -> Result<Option<String>> {
    if !writer.manifest.wanted().settings.commit {
        return Ok(None);
    }
    let root = writer.home.root();
    let below = |file: &PathBuf| Some(file.strip_prefix(root).ok()?.to_string_lossy().into_owned());
    let paths: Vec<String> =
        files.iter().filter_map(below).filter(|p| is_committed(Path::new(p))).collect();
    writer.git.commit(message, &paths)
}

fn is_committed(path: &Path) -> bool {
    !path.starts_with(".local")
}
