//! Files of ours and of tools that can't be read or written: one failure for all parts.

use std::io;
use std::path::PathBuf;

/// What could not be done with a file, and why.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be {doing}: {source}", path.display())]
pub struct FileError {
    /// The file.
    pub path: PathBuf,
    /// What was done with it.
    pub doing: &'static str,
    /// Why not.
    pub source: io::Error,
}

/// The errors of parts that deal with files.
pub(crate) trait OfFile: From<FileError> {
    /// A file that failed.
    fn file(doing: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| FileError { path, doing, source }.into()
    }
}

impl<E: From<FileError>> OfFile for E {}
