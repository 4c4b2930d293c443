//! The name of an environment that the user did not name.

use std::fs;
use std::hash::{BuildHasher, RandomState};
use std::path::{Path, PathBuf};

use atelier_api::Name;

/// The name when there is nothing to derive one from.
const DEFAULT: &str = "default";

/// The current git branch as a name, or `default` outside of a work tree and between branches.
pub(crate) fn of_folder(folder: &Path) -> Option<Name> {
    branch(folder).and_then(|branch| Name::slug(&branch)).or_else(|| DEFAULT.parse().ok())
}

/// A name that nothing has yet, for an environment that is removed afterwards.
pub(crate) fn throwaway() -> Option<Name> {
    const DIGITS: &[u8; 36] = b"0123456789abcdefghijklmnopqrstuvwxyz";
    let mut random = RandomState::new().hash_one(std::process::id());
    let mut name = String::from("run-");
    for _ in 0..6 {
        name.push(char::from(DIGITS[(random % 36) as usize]));
        random /= 36;
    }
    name.parse().ok()
}

/// What HEAD says, without starting git: it is a file with a known line (gitrepository-layout(5)).
fn branch(folder: &Path) -> Option<String> {
    let git = folder.ancestors().map(|dir| dir.join(".git")).find(|git| git.exists())?;
    let head = fs::read_to_string(git_dir(git)?.join("HEAD")).ok()?;
    head.trim().strip_prefix("ref: refs/heads/").map(str::to_owned)
}

/// In a linked work tree `.git` is a file that points to the folder.
fn git_dir(git: PathBuf) -> Option<PathBuf> {
    if git.is_dir() {
        return Some(git);
    }
    let text = fs::read_to_string(&git).ok()?;
    let target = text.trim().strip_prefix("gitdir: ")?;
    Some(git.parent()?.join(target))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(folder: &Path) -> String {
        of_folder(folder).unwrap().to_string()
    }

    #[test]
    fn the_branch_gives_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let sub = dir.path().join("src/deep");
        fs::create_dir_all(&sub).unwrap();
        assert_eq!(name(&sub), "default");
        fs::create_dir(dir.path().join(".git")).unwrap();
        fs::write(dir.path().join(".git/HEAD"), "ref: refs/heads/feature/Fix_Login\n").unwrap();
        assert_eq!(name(&sub), "feature-fix-login");
        fs::write(dir.path().join(".git/HEAD"), "8d1c8b69c3fce7bea45c73efd06983e3c419a92f\n")
            .unwrap();
        assert_eq!(name(&sub), "default");
    }

    #[test]
    fn a_linked_work_tree_has_its_own_branch() {
        let dir = tempfile::tempdir().unwrap();
        let (main, linked) = (dir.path().join("main"), dir.path().join("linked"));
        let git = main.join(".git/worktrees/linked");
        fs::create_dir_all(&git).unwrap();
        fs::create_dir(&linked).unwrap();
        fs::write(git.join("HEAD"), "ref: refs/heads/side\n").unwrap();
        fs::write(linked.join(".git"), "gitdir: ../main/.git/worktrees/linked\n").unwrap();
        assert_eq!(name(&linked), "side");
    }

    #[test]
    fn throwaway_names_differ() {
        let (a, b) = (throwaway().unwrap(), throwaway().unwrap());
        assert!(a.as_str().starts_with("run-") && a.as_str().len() == 10, "{a}");
        assert_ne!(a, b);
    }
}
