//! Which of the two loaders reads a project.

use crate::error::Result;
use crate::model::Model;
use crate::native;
use crate::request::Request;
use crate::tool::Tool;

/// How a project is read.
#[derive(Debug, Clone)]
pub enum Loader {
    /// Compose's own implementation: everything that Compose knows.
    Tool(Tool),
    /// Ours: the common subset, and a refusal of the rest.
    Native,
}

impl Loader {
    /// Reads the project with its files, variables and profiles.
    ///
    /// # Errors
    /// `Invalid` with the place of a mistake, `Unsupported` for what the loader does not know,
    /// `NoProject` when there are no Compose files, or how the tool failed.
    pub fn load(&self, request: &Request) -> Result<Model> {
        match self {
            Self::Tool(tool) => tool.load(request),
            Self::Native => native::load(request),
        }
    }
}
