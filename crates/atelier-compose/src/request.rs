//! What to load, and which files that is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::error::{ComposeError, Result};
use crate::project::Project;

/// The names that Compose looks for, the first wins.
const FILES: [&str; 4] =
    ["compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"];
/// What is laid over it when it is there, the first wins.
const OVERRIDES: [&str; 4] = [
    "compose.override.yml",
    "compose.override.yaml",
    "docker-compose.override.yml",
    "docker-compose.override.yaml",
];

/// A Compose project as a person would name it on a command line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Where Compose would be run. Paths inside the files start at the folder of the first file,
    /// which is mostly this one.
    pub folder: PathBuf,
    /// The files, each laid over the one before. Empty: as Compose finds them.
    pub files: Vec<PathBuf>,
    /// Files of variables instead of `.env`.
    pub env_files: Vec<PathBuf>,
    /// Profiles to be active; `*` is all of them.
    pub profiles: Vec<String>,
    /// The environment for interpolation: it wins over the files of variables.
    pub variables: BTreeMap<String, String>,
    /// The name that the project's canonical form gets. Empty: Compose chooses.
    pub project_name: String,
}

/// The project's files, absolute. None: there is no Compose project in the folder.
///
/// Other than Compose this never looks in the folders above.
///
/// # Errors
/// `FileMissing` when a named file is not there, `Invalid` when `.env` cannot be read.
pub fn find(request: &Request) -> Result<Option<Vec<PathBuf>>> {
    let project = Project::new(request)?;
    let named = match &request.files[..] {
        [] => project.named_files()?,
        files => files.iter().map(|f| project.folder.join(f)).collect(),
    };
    if !named.is_empty() {
        if let Some(path) = named.iter().find(|f| !f.is_file()) {
            return Err(ComposeError::FileMissing { path: path.clone() });
        }
        return Ok(Some(named));
    }
    let Some(first) = first_of(&project.folder, &FILES) else {
        return Ok(None);
    };
    let mut files = vec![first];
    files.extend(first_of(&project.folder, &OVERRIDES));
    Ok(Some(files))
}

fn first_of(folder: &Path, names: &[&str]) -> Option<PathBuf> {
    names.iter().map(|n| folder.join(n)).find(|f| f.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[(&str, &str)]) -> (tempfile::TempDir, Request) {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        let request = Request { folder: folder.path().to_owned(), ..Request::default() };
        (folder, request)
    }

    fn names(request: &Request) -> Vec<String> {
        let files = find(request).unwrap().unwrap_or_default();
        let name = |f: PathBuf| f.strip_prefix(&request.folder).unwrap().display().to_string();
        files.into_iter().map(name).collect()
    }

    #[test]
    fn every_name_that_compose_knows_is_found_and_overrides_too() {
        for name in FILES {
            assert_eq!(names(&project(&[(name, "")]).1), [name]);
        }
        let all: Vec<_> = FILES.iter().chain(&OVERRIDES).map(|n| (*n, "")).collect();
        assert_eq!(names(&project(&all).1), [FILES[0], OVERRIDES[0]]);
        let (_folder, request) =
            project(&[("docker-compose.yml", ""), ("compose.override.yaml", "")]);
        assert_eq!(names(&request), ["docker-compose.yml", "compose.override.yaml"]);
    }

    #[test]
    fn compose_file_names_the_files_in_the_environment_before_dot_env() {
        let files =
            [("compose.yaml", ""), ("a.yml", ""), ("b/c.yml", ""), (".env", "COMPOSE_FILE=a.yml")];
        let (_folder, mut request) = project(&files);
        assert_eq!(names(&request), ["a.yml"]);
        request.variables.insert("COMPOSE_FILE".to_owned(), "a.yml,b/c.yml".to_owned());
        request.variables.insert("COMPOSE_PATH_SEPARATOR".to_owned(), ",".to_owned());
        assert_eq!(names(&request), ["a.yml", "b/c.yml"]);
        request.files = vec!["compose.yaml".into()];
        assert_eq!(names(&request), ["compose.yaml"]);
    }

    #[test]
    fn a_folder_without_files_is_no_project_even_below_one() {
        let (_folder, request) = project(&[("compose.yaml", ""), ("sub/x", "")]);
        let below = Request { folder: request.folder.join("sub"), ..Request::default() };
        assert_eq!(find(&below).unwrap(), None);
        let named = Request { files: vec!["none.yaml".into()], ..request };
        assert!(matches!(find(&named), Err(ComposeError::FileMissing { .. })));
    }
}
