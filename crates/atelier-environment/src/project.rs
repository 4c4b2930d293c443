//! Which project we stand in: its root, its name, its git repository.

use std::path::{Path, PathBuf};

use atelier_api::Name;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::config::{CILO, Config, FILE_NAME};
use crate::error::{Error, Result};

/// A folder with somebody's work in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Project {
    /// The absolute path of its top folder, without symlinks.
    #[serde(with = "crate::quote::path_json")]
    pub root: PathBuf,
    /// `name:` of its `atelier.yaml`, or its folder's name as a DNS label.
    pub name: Name,
    /// Its git repository, when it is a work tree.
    pub git: Option<GitInfo>,
}

/// Where a work tree's repository is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GitInfo {
    /// The work tree's own folder: `.git`, or the one that a linked work tree or a submodule names.
    #[serde(with = "crate::quote::path_json")]
    pub git_dir: PathBuf,
    /// The folder with the objects and branches, which linked work trees share.
    #[serde(with = "crate::quote::path_json")]
    pub common_dir: PathBuf,
}

impl GitInfo {
    /// The repository of a work tree's top folder, found as git finds it, without running git.
    pub(crate) fn of(root: &Path) -> Option<Self> {
        git_info(root)
    }

    /// Whether everything of the repository lies inside the work tree, and so comes along.
    #[must_use]
    pub fn is_inside(&self, root: &Path) -> bool {
        self.common_dir == root.join(".git")
    }
}

impl Project {
    /// The project around `cwd`: the git work tree, or without git the nearest folder with an
    /// `atelier.yaml`, or `cwd` itself. `user_home` is never taken for a project.
    ///
    /// # Errors
    /// [`Error::NoProject`] when `cwd` is gone, or is `/` or the home directory;
    /// [`Error::Config`] when its `atelier.yaml` is not valid.
    pub fn discover(cwd: &Path, user_home: Option<&Path>) -> Result<Self> {
        let none = |why: &str| Error::NoProject { path: cwd.to_owned(), why: why.to_owned() };
        let here = cwd.canonicalize().map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => none("the folder does not exist (any more)"),
            _ => none(&format!("the folder cannot be read: {e}")),
        })?;
        if !here.is_dir() {
            return Err(none("it is not a folder"));
        }
        let home = user_home.and_then(|h| h.canonicalize().ok());
        let too_big = |p: &Path| p.parent().is_none() || Some(p) == home.as_deref();
        if too_big(&here) {
            let what = if here.parent().is_none() { "whole machine" } else { "home directory" };
            return Err(none(&format!(
                "it is your {what}, and an environment is a copy of the folder you stand in"
            )));
        }
        let inside = || here.ancestors().take_while(|p| !too_big(p));
        if let Some((root, git)) = inside().find_map(|p| git_info(p).map(|g| (p, g))) {
            return Self::at(root, Some(git));
        }
        let settings = |p: &&Path| p.join(FILE_NAME).is_file() || p.join(CILO).is_file();
        let root = inside().find(settings).unwrap_or(&here);
        Self::at(root, None)
    }

    fn at(root: &Path, git: Option<GitInfo>) -> Result<Self> {
        std::fs::read_dir(root).map_err(|e| Error::io("read", root, e))?;
        let config = Config::load(root)?;
        let folder = root.file_name().map(|n| n.to_string_lossy().into_owned());
        let name = config.name.or_else(|| Name::slug(&folder.unwrap_or_default()));
        let name = match name {
            Some(name) => name,
            None => Name::slug("project").ok_or_else(|| Error::NoProject {
                path: root.to_owned(),
                why: "it has no usable name".to_owned(),
            })?,
        };
        Ok(Self { root: root.to_owned(), name, git })
    }

    /// A name for everything that we keep of this project: its name and a hash of its path.
    #[must_use]
    pub fn id(&self) -> String {
        use std::os::unix::ffi::OsStrExt;
        let hash = Sha256::digest(self.root.as_os_str().as_bytes());
        let hex: String = hash.iter().take(6).map(|b| format!("{b:02x}")).collect();
        format!("{}-{hex}", self.name)
    }
}

/// The repository of a work tree's top folder, found as git finds it, without running git.
fn git_info(root: &Path) -> Option<GitInfo> {
    let dot_git = root.join(".git");
    let git_dir = if dot_git.is_dir() {
        dot_git
    } else {
        let text = std::fs::read_to_string(&dot_git).ok()?;
        let named = text.strip_prefix("gitdir:")?.trim_matches([' ', '\n', '\r']);
        root.join(named).canonicalize().ok()?
    };
    if !git_dir.join("HEAD").is_symlink() && !git_dir.join("HEAD").is_file() {
        return None;
    }
    let common_dir = match std::fs::read_to_string(git_dir.join("commondir")) {
        Ok(text) => git_dir.join(text.trim_end_matches(['\n', '\r'])).canonicalize().ok()?,
        Err(_) => git_dir.clone(),
    };
    Some(GitInfo { git_dir, common_dir })
}

#[cfg(test)]
mod tests {
    use super::*;
    use atelier_api::{ExitCode, Fault};

    #[test]
    fn without_git_the_folder_with_the_settings_is_the_project() {
        let tmp = tempfile::tempdir().unwrap();
        let deep = tmp.path().join("My Shop/src/deep");
        std::fs::create_dir_all(&deep).unwrap();
        assert_eq!(Project::discover(&deep, None).unwrap().name.as_str(), "deep");
        std::fs::write(tmp.path().join("My Shop/atelier.yaml"), "name: shop\n").unwrap();
        let project = Project::discover(&deep, None).unwrap();
        assert_eq!(project.name.as_str(), "shop");
        assert!(project.root.ends_with("My Shop"));
    }

    #[test]
    fn the_git_work_tree_is_the_project_also_when_its_repository_is_elsewhere() {
        let tmp = tempfile::tempdir().unwrap();
        let main = tmp.path().join("repo");
        let private = main.join(".git/worktrees/other");
        std::fs::create_dir_all(&private).unwrap();
        std::fs::write(main.join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::write(private.join("HEAD"), "ref: refs/heads/other\n").unwrap();
        std::fs::write(private.join("commondir"), "../..\n").unwrap();
        let linked = tmp.path().join("linked/src");
        std::fs::create_dir_all(&linked).unwrap();
        let pointer = format!("gitdir: {}\n", private.display());
        std::fs::write(tmp.path().join("linked/.git"), pointer).unwrap();

        let git = Project::discover(&main, None).unwrap().git.unwrap();
        assert!(git.is_inside(&main.canonicalize().unwrap()));
        let project = Project::discover(&linked, None).unwrap();
        assert!(project.root.ends_with("linked"));
        assert_eq!(project.git.unwrap().common_dir, main.join(".git").canonicalize().unwrap());
    }

    #[test]
    fn a_home_directory_the_root_and_a_lost_folder_are_no_projects() {
        let tmp = tempfile::tempdir().unwrap();
        for (cwd, word) in [
            (tmp.path(), "home directory"),
            (Path::new("/"), "machine"),
            (Path::new("/gone"), "exist"),
        ] {
            let error = Project::discover(cwd, Some(tmp.path())).unwrap_err();
            assert!(error.to_string().contains(word), "{error}");
            assert_eq!(error.exit(), ExitCode::NotFound);
            assert!(!error.hints().is_empty());
        }
    }

    #[test]
    fn a_repository_of_dotfiles_in_the_home_does_not_swallow_the_projects_below() {
        let tmp = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(tmp.path().join(".git")).unwrap();
        std::fs::write(tmp.path().join(".git/HEAD"), "ref: refs/heads/main\n").unwrap();
        std::fs::create_dir(tmp.path().join("work")).unwrap();
        let project = Project::discover(&tmp.path().join("work"), Some(tmp.path())).unwrap();
        assert_eq!((project.name.as_str(), project.git), ("work", None));
    }
}
