//! What a workspace is filled with.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::config::Files;

/// What an environment starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// The project as it is now, with uncommitted and untracked files.
    #[default]
    WorkingTree,
    /// A clean checkout of a commit, by any name that git knows.
    Ref(String),
    /// Another folder as it is now, such as a second checkout of the project.
    Folder(PathBuf),
    /// Nothing.
    Empty,
}

/// How a workspace is filled.
#[derive(Debug, Clone, Default)]
pub struct Recipe {
    /// What it starts from.
    pub source: Source,
    /// What of the files that git ignores comes along, and what is rendered.
    pub files: Files,
    /// Globs of files that come along although `files` leaves them out.
    pub include: Vec<String>,
    /// Names with what they stand for in rendered files.
    pub tokens: Vec<(String, String)>,
}
