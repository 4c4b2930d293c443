//! Finding the home folder and making what is missing in it.

use std::ffi::OsString;
use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::{ConfigError, Home, env_vars};

impl Home {
    /// The home that the environment variables name: `ATELIER_HOME`, or `.atelier` in the user's
    /// home. A relative path counts from the current folder. Nothing is made.
    ///
    /// # Errors
    /// [`ConfigError::NoHome`] when neither variable is set.
    pub fn discover(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, ConfigError> {
        let set = |name| env(name).filter(|value| !value.is_empty());
        let root = set(env_vars::HOME)
            .map(PathBuf::from)
            .or_else(|| set("HOME").map(|home| Path::new(&home).join(".atelier")))
            .ok_or(ConfigError::NoHome)?;
        let absolute = std::path::absolute(&root)
            .map_err(|source| ConfigError::Prepare { path: root, source })?;
        Ok(Self::at(absolute))
    }

    /// Makes the folders that are missing, readable for their owner alone.
    ///
    /// # Errors
    /// [`ConfigError`] with the folder that could not be made.
    pub fn prepare(&self) -> Result<(), ConfigError> {
        let below = [
            self.keys(),
            self.bin(),
            self.bases(),
            self.environments(),
            self.sandboxes(),
            self.images(),
            self.snapshots(),
            self.uploads(),
        ];
        folder(self.root(), true)?;
        below.iter().try_for_each(|path| folder(path, false))
    }
}

fn folder(path: &Path, recursive: bool) -> Result<(), ConfigError> {
    match DirBuilder::new().mode(0o700).recursive(recursive).create(path) {
        Ok(()) => Ok(()),
        Err(_) if path.is_dir() => Ok(()),
        Err(e)
            if matches!(e.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory) =>
        {
            Err(ConfigError::NotAFolder { path: path.to_owned() })
        }
        Err(source) => Err(ConfigError::Prepare { path: path.to_owned(), source }),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use atelier_api::{ExitCode, Fault};

    use super::*;

    fn discover(pairs: &[(&str, &str)]) -> Result<Home, ConfigError> {
        Home::discover(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| v.into()))
    }

    #[test]
    fn the_variable_wins_over_the_users_home() {
        let both = discover(&[("ATELIER_HOME", "/a"), ("HOME", "/home/me")]).unwrap();
        assert_eq!(both.root(), Path::new("/a"));
        let one = discover(&[("ATELIER_HOME", ""), ("HOME", "/home/me")]).unwrap();
        assert_eq!(one.root(), Path::new("/home/me/.atelier"));
    }

    #[test]
    fn a_relative_home_counts_from_here() {
        let home = discover(&[("ATELIER_HOME", "here")]).unwrap();
        assert_eq!(home.root(), std::env::current_dir().unwrap().join("here"));
    }

    #[test]
    fn without_any_home_the_error_says_what_to_set() {
        let error = discover(&[]).unwrap_err();
        assert_eq!(error.exit(), ExitCode::Configuration);
        assert!(error.hints()[0].contains("ATELIER_HOME"));
    }

    #[test]
    fn preparing_makes_private_folders_and_can_be_repeated() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at(dir.path().join("deep/home"));
        home.prepare().unwrap();
        home.prepare().unwrap();
        for path in [home.root().to_owned(), home.keys(), home.environments()] {
            let mode = path.metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o700, "{path:?}");
        }
    }

    #[test]
    fn a_file_in_the_way_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        std::fs::write(&file, "").unwrap();
        for root in [file.clone(), file.join("below")] {
            let error = Home::at(&root).prepare().unwrap_err();
            assert_eq!(error.exit(), ExitCode::Configuration, "{error}");
            assert!(error.to_string().contains("should be a folder"), "{error}");
        }
    }
}
