//! Where things are on this machine, as one value: nothing here looks at the process's own environment
//! but [`Places::here`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{AgentError, Result};

/// The home, the project and the variables that agents find their files by.
#[derive(Debug, Clone, Default)]
pub struct Places {
    home: PathBuf,
    project: Option<PathBuf>,
    variables: BTreeMap<String, String>,
}

impl Places {
    /// A home folder (absolute) with no project and no variables.
    #[must_use]
    pub fn new(home: impl Into<PathBuf>) -> Self {
        Self { home: home.into(), ..Self::default() }
    }

    /// Those of this process: `HOME` and all variables.
    ///
    /// # Errors
    /// [`AgentError::Variable`] when `HOME` is no absolute path.
    pub fn here() -> Result<Self> {
        let variables: BTreeMap<_, _> = std::env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let mut places = Self { variables, ..Self::default() };
        places.home = places
            .folder("HOME")?
            .ok_or_else(|| AgentError::Variable { name: "HOME".into(), value: String::new() })?;
        Ok(places)
    }

    /// The same with a project's folder (absolute).
    #[must_use]
    pub fn with_project(mut self, project: impl Into<PathBuf>) -> Self {
        self.project = Some(project.into());
        self
    }

    /// The same with a variable.
    #[must_use]
    pub fn with_variable(mut self, name: &str, value: &str) -> Self {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The home folder.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The project's folder.
    #[must_use]
    pub fn project(&self) -> Option<&Path> {
        self.project.as_deref()
    }

    /// The folder that a variable names; none where it is not set or empty.
    pub(crate) fn folder(&self, name: &str) -> Result<Option<PathBuf>> {
        match self.variables.get(name).filter(|value| !value.is_empty()) {
            None => Ok(None),
            Some(value) if Path::new(value).is_absolute() => Ok(Some(PathBuf::from(value))),
            // The XDG Base Directory Specification: relative paths are to be ignored.
            Some(_) if name.starts_with("XDG_") => Ok(None),
            Some(value) => {
                Err(AgentError::Variable { name: name.to_owned(), value: value.clone() })
            }
        }
    }

    /// The program of that name on `PATH`.
    pub(crate) fn program(&self, name: &str) -> Option<PathBuf> {
        use std::os::unix::fs::PermissionsExt;
        let path = self.variables.get("PATH")?;
        std::env::split_paths(path).filter(|folder| folder.is_absolute()).find_map(|folder| {
            let program = folder.join(name);
            let metadata = program.metadata().ok()?;
            (metadata.is_file() && metadata.permissions().mode() & 0o111 != 0).then_some(program)
        })
    }
}
