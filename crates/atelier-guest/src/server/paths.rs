//! Paths as callers write them, and the folders above them.

use std::io;
use std::os::unix::fs::chown;
use std::path::{Component, Path, PathBuf};

use super::users::User;

/// The absolute path that a caller means: `~` is the user's home, relative paths start at
/// `workdir` if it is set and nothing is named, else at the home.
pub(super) fn resolve(text: &str, user: &User, workdir: Option<&Path>) -> Result<PathBuf, String> {
    let path = match (text, workdir) {
        ("", Some(workdir)) => workdir.to_path_buf(),
        (text, _) => match text.strip_prefix('~') {
            Some("") => user.home.clone(),
            Some(rest) if rest.starts_with('/') => user.home.join(rest.trim_start_matches('/')),
            Some(_) => {
                let name = &user.name;
                return Err(format!(
                    "failed to expand path '{text}' for user '{name}': cannot expand user-specific home dir"
                ));
            }
            None => user.home.join(text),
        },
    };
    if path.as_os_str().as_encoded_bytes().contains(&0) {
        return Err("a path must not hold a zero byte".to_owned());
    }
    Ok(clean(&path))
}

/// Without `.`, `..` and doubled slashes, as they are written: links are not looked at.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::from("/");
    for part in path.components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::ParentDir => {
                clean.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    clean
}

/// Makes a folder and those above it that are missing, and gives the new ones to the user.
pub(super) fn ensure_folders(path: &Path, user: &User) -> io::Result<()> {
    match std::fs::metadata(path) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => {
            let why = format!("path is a file: {}", path.display());
            return Err(io::Error::new(io::ErrorKind::NotADirectory, why));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    if let Some(parent) = path.parent() {
        ensure_folders(parent, user)?;
    }
    match std::fs::create_dir(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    give(path, user)
}

/// Gives an entry to the user. That the guest may not is no failure where it is theirs already.
pub(super) fn give(path: &Path, user: &User) -> io::Result<()> {
    match chown(path, Some(user.uid), Some(user.gid)) {
        Err(_) if user.is_own() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user() -> User {
        User { name: "u".into(), uid: 1, gid: 1, home: "/home/u".into(), shell: None }
    }

    #[test]
    fn paths_start_at_the_home_unless_they_say_otherwise() {
        let at = |text| resolve(text, &user(), None).unwrap();
        assert_eq!(at("a/../b"), Path::new("/home/u/b"));
        assert_eq!(at("~/x"), Path::new("/home/u/x"));
        assert_eq!(at("~"), Path::new("/home/u"));
        assert_eq!(at(""), Path::new("/home/u"));
        assert_eq!(at("/etc//./passwd"), Path::new("/etc/passwd"));
        assert_eq!(resolve("", &user(), Some(Path::new("/w"))).unwrap(), Path::new("/w"));
        assert!(resolve("~other/x", &user(), None).is_err());
    }
}
