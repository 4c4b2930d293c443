//! A request settled: folders and variables as Compose would see them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::dotenv;
use crate::error::{ComposeError, Result};
use crate::request::Request;

/// The folder, and the variables of the environment and of the files of variables.
#[derive(Debug)]
pub(crate) struct Project {
    /// Where Compose would be run, absolute.
    pub folder: PathBuf,
    /// For interpolation.
    pub variables: BTreeMap<String, String>,
}

impl Project {
    pub(crate) fn new(request: &Request) -> Result<Self> {
        let folder = std::path::absolute(&request.folder)
            .map_err(|e| ComposeError::io("find", &request.folder, e))?;
        if !folder.is_dir() {
            return Err(ComposeError::NoProject { folder });
        }
        let mut project = Self { folder, variables: environment(request)? };
        let files: Vec<PathBuf> =
            request.env_files.iter().map(|f| project.folder.join(f)).collect();
        if files.is_empty() {
            project.dot_env(&project.folder.clone())?;
        } else {
            project.read(&files)?;
        }
        Ok(project)
    }

    /// Adds the variables of the folder's `.env`, unless that is turned off.
    pub(crate) fn dot_env(&mut self, folder: &Path) -> Result<()> {
        let off = self.variables.get("COMPOSE_DISABLE_ENV_FILE");
        let path = folder.join(".env");
        if off.is_some_and(|v| matches!(v.as_str(), "1" | "true" | "t" | "TRUE" | "True" | "T"))
            || !path.is_file()
        {
            return Ok(());
        }
        self.read(&[path])
    }

    fn read(&mut self, files: &[PathBuf]) -> Result<()> {
        let mut known = BTreeMap::new();
        for file in files {
            dotenv::read(file, &mut known, &|name| self.variables.get(name).cloned())?;
        }
        for (name, value) in known {
            self.variables.entry(name).or_insert(value);
        }
        Ok(())
    }

    /// The files that `COMPOSE_FILE` names, in the environment or in `.env`.
    pub(crate) fn named_files(&self) -> Result<Vec<PathBuf>> {
        let Some(list) = self.variables.get("COMPOSE_FILE").filter(|l| !l.is_empty()) else {
            return Ok(Vec::new());
        };
        let separator = self.variables.get("COMPOSE_PATH_SEPARATOR").filter(|s| !s.is_empty());
        let separator = separator.map_or(":", String::as_str);
        Ok(list.split(separator).filter(|f| !f.is_empty()).map(|f| self.folder.join(f)).collect())
    }
}

/// The request's variables, with the folder as the working directory, which many files refer to.
pub(crate) fn environment(request: &Request) -> Result<BTreeMap<String, String>> {
    let mut variables = request.variables.clone();
    let folder = std::path::absolute(&request.folder)
        .map_err(|e| ComposeError::io("find", &request.folder, e))?;
    variables.insert("PWD".to_owned(), folder.display().to_string());
    for name in ["HOME", "PATH"] {
        if let Some(value) = std::env::var_os(name).and_then(|v| v.into_string().ok()) {
            variables.entry(name.to_owned()).or_insert(value);
        }
    }
    Ok(variables)
}
