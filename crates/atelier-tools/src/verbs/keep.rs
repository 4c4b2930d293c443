//! Changes of the home that a part makes itself, such as a tool's settings: under the writer's lock, and
//! one commit.

use std::path::PathBuf;

use crate::context::Context;
use crate::home::{Wanted, Writer};
use crate::{Home, Result};

/// Has `work` write files of the home, whole ones each, and commits those that it names. `doing` is
/// the commit's message, such as `tool setup notion`. Gives what `work` gave.
///
/// # Errors
/// When there is no home, another command changes it, the work fails, or git does.
pub fn keep<T>(
    home: &Home,
    doing: &str,
    context: &Context<'_>,
    work: impl FnOnce(&Wanted) -> Result<(T, Vec<PathBuf>)>,
) -> Result<T> {
    let writer = Writer::take(home, doing, context)?;
    let (value, files) = work(writer.manifest.wanted())?;
    let inside = |file: &PathBuf| {
        file.strip_prefix(home.root()).ok().map(|path| path.to_string_lossy().into_owned())
    };
    let paths: Vec<_> = files.iter().filter_map(inside).collect();
    if writer.manifest.wanted().settings.commit {
        writer.git.commit(doing, &paths)?;
    }
    Ok(value)
}
