//! A plugin's files, in memory and checked: no path that leads elsewhere, no link that leaves, nothing that is the
//! user's or this machine's.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use crate::context::{Context, Limits};
use crate::git::Remote;
use crate::home::{LockedFile, files};
use crate::{Problem, Result, ToolsError};

/// One file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct File {
    /// Its contents; for a link, where it leads.
    pub bytes: Vec<u8>,
    pub executable: bool,
    pub link: bool,
}

/// A plugin's files by their paths.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tree {
    pub files: BTreeMap<String, File>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Why a path is none of a plugin's.
pub(crate) fn checked_path(path: &str) -> std::result::Result<(), String> {
    if path.is_empty() || path.len() > 400 || path.chars().any(char::is_control) {
        return Err("it is empty, too long or has characters that no name has".into());
    }
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) if name.eq_ignore_ascii_case(".git") => {
                return Err("`.git` is git's own".into());
            }
            Component::Normal(name) if name.eq_ignore_ascii_case(".gitmodules") => {
                return Err("it brings submodules".into());
            }
            Component::Normal(_) => {}
            _ => return Err("it leads out of its folder".into()),
        }
    }
    match path.contains("//")
        || path.contains("/./")
        || path.ends_with('/')
        || path.starts_with("./")
    {
        true => Err("it is written in an odd way".into()),
        false => Ok(()),
    }
}

/// Where a link leads must stay inside: `..` only in front, and not above the plugin.
fn checked_link(path: &str, target: &str) -> std::result::Result<(), String> {
    let mut depth = Path::new(path).components().count().saturating_sub(1);
    let mut went_down = false;
    for component in Path::new(target).components() {
        match component {
            Component::Normal(_) => went_down = true,
            Component::CurDir => {}
            Component::ParentDir if !went_down && depth > 0 => depth -= 1,
            _ => return Err(format!("it is a link to `{target}`, out of the plugin")),
        }
    }
    Ok(())
}

/// What a plugin may not bring: the user's folder, secrets, what ATK writes.
fn left_out(path: &str) -> Option<&'static str> {
    let first = path.split('/').next().unwrap_or_default();
    let name = path.rsplit('/').next().unwrap_or_default();
    let sample = ["example", "sample", "template", "dist"].iter().any(|end| name.ends_with(end));
    if first == "custom" {
        Some("custom/ is the user's")
    } else if (name == ".env" || name.starts_with(".env.") || name.ends_with(".env")) && !sample {
        Some("it may hold secrets")
    } else if path == ".atk-ref" {
        Some("ATK's own note")
    } else {
        None
    }
}

impl Tree {
    /// The files below a folder of a commit.
    pub fn of_commit(
        remote: &Remote<'_>,
        commit: &str,
        folder: &str,
        limits: &Limits,
    ) -> Result<Self> {
        let subject = super::without_password(&remote.url);
        let entries = remote.list(commit, folder)?.ok_or_else(|| ToolsError::Fetch {
            by_hand: None,
            from: subject.clone(),
            why: format!("its commit {commit} has no folder `{folder}`"),
        })?;
        let mut tree = Self::default();
        let mut problems = Vec::new();
        let mut wanted = Vec::new();
        for entry in entries {
            if let Some(why) = left_out(&entry.path) {
                tree.notes.push(format!("{} was left out: {why}", entry.path));
            } else if entry.mode == "160000" {
                problems.push(Problem::of(
                    &entry.path,
                    "it is a submodule; a plugin has its own files",
                ));
            } else if let Err(why) = checked_path(&entry.path) {
                problems.push(Problem::of(&entry.path, why));
            } else {
                wanted.push(entry);
            }
        }
        refuse(&subject, problems)?;
        few(&subject, wanted.len(), limits)?;
        let objects: Vec<String> = wanted.iter().map(|e| e.object.clone()).collect();
        let contents = remote.contents(&objects, limits.bytes)?;
        for (entry, bytes) in wanted.into_iter().zip(contents) {
            let (executable, link) = (entry.mode == "100755", entry.mode == "120000");
            tree.files.insert(entry.path, File { bytes, executable, link });
        }
        refuse(&subject, tree.bad_links())?;
        Ok(tree)
    }

    /// The files of a folder on this machine; what its repository ignores is left out.
    pub fn of_folder(folder: &Path, context: &Context<'_>) -> Result<Self> {
        let subject = folder.display().to_string();
        let mut paths = Vec::new();
        let listed = crate::git::not_ignored(folder, context);
        match listed {
            Some(listed) => paths = listed,
            None => {
                walk(folder, Path::new(""), &mut paths, context.limits.files.saturating_mul(4))?;
            }
        }
        let mut tree = Self::default();
        let mut problems = Vec::new();
        paths.retain(|path| match left_out(path) {
            Some(why) => {
                tree.notes.push(format!("{path} was left out: {why}"));
                false
            }
            None => true,
        });
        few(&subject, paths.len(), &context.limits)?;
        let mut size = 0;
        for path in paths {
            let checked = checked_path(&path).and_then(|()| read(folder, &path, &context.limits));
            match checked {
                Ok(file) => {
                    size += file.bytes.len() as u64;
                    tree.files.insert(path, file);
                }
                Err(why) => problems.push(Problem::of(path, why)),
            }
            if size > context.limits.bytes {
                let why = format!("it is larger than {} MiB", context.limits.bytes >> 20);
                return Err(ToolsError::Limit { from: subject, why });
            }
        }
        problems.extend(tree.bad_links());
        refuse(&subject, problems)?;
        Ok(tree)
    }

    fn bad_links(&self) -> Vec<Problem> {
        let links = self.files.iter().filter(|(_, file)| file.link);
        links
            .filter_map(|(path, file)| {
                let target = String::from_utf8_lossy(&file.bytes);
                checked_link(path, &target).err().map(|why| Problem::of(path, why))
            })
            .collect()
    }

    /// A text file of it.
    pub fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).filter(|f| !f.link).and_then(|f| std::str::from_utf8(&f.bytes).ok())
    }

    /// What the lock says of its files.
    pub fn locked(&self) -> BTreeMap<String, LockedFile> {
        self.files.iter().map(|(path, file)| (path.clone(), file.locked())).collect()
    }

    /// One SHA-256 of everything: [`digest`].
    pub fn digest(&self) -> String {
        digest(&self.locked())
    }
}

/// One SHA-256 of all files: of a line `HASH KIND PATH` for each, sorted by path.
pub(crate) fn digest(locked: &BTreeMap<String, LockedFile>) -> String {
    let line = |(path, file): (&String, &LockedFile)| {
        let kind = if file.link {
            "link"
        } else if file.executable {
            "exec"
        } else {
            "file"
        };
        format!("{} {kind} {path}\n", file.sha256)
    };
    files::sha256(locked.iter().map(line).collect::<String>().as_bytes())
}

impl File {
    pub fn locked(&self) -> LockedFile {
        let sha256 = files::sha256(&self.bytes);
        LockedFile { sha256, executable: self.executable, link: self.link }
    }

    /// Writes it; the parent of `path` is ours and new.
    pub fn write(&self, path: &Path) -> Result<()> {
        if !self.link {
            return files::write_new(
                path,
                &self.bytes,
                if self.executable { 0o755 } else { 0o644 },
            );
        }
        if let Some(parent) = path.parent() {
            files::folder(parent)?;
        }
        let target = PathBuf::from(String::from_utf8_lossy(&self.bytes).into_owned());
        std::os::unix::fs::symlink(target, path).map_err(ToolsError::file("linked", path))
    }
}

/// What is at a path now, as the lock would say it; nothing when there is nothing.
pub(crate) fn look(path: &Path) -> Option<LockedFile> {
    use std::os::unix::fs::PermissionsExt;
    let data = std::fs::symlink_metadata(path).ok()?;
    let link = data.is_symlink();
    let bytes = match link {
        true => std::fs::read_link(path).ok()?.into_os_string().into_encoded_bytes(),
        false if data.is_file() => std::fs::read(path).ok()?,
        false => return None,
    };
    let executable = !link && data.permissions().mode() & 0o100 != 0;
    Some(LockedFile { sha256: files::sha256(&bytes), executable, link })
}

fn refuse(subject: &str, problems: Vec<Problem>) -> Result<()> {
    match problems.is_empty() {
        true => Ok(()),
        false => Err(ToolsError::Invalid { subject: subject.to_owned(), problems }),
    }
}

fn few(subject: &str, count: usize, limits: &Limits) -> Result<()> {
    match count > limits.files {
        false => Ok(()),
        true => Err(ToolsError::Limit {
            from: subject.to_owned(),
            why: format!("it has {count} files, more than {}", limits.files),
        }),
    }
}

fn read(folder: &Path, path: &str, limits: &Limits) -> std::result::Result<File, String> {
    use std::os::unix::fs::PermissionsExt;
    let full = folder.join(path);
    let data = std::fs::symlink_metadata(&full).map_err(|e| e.to_string())?;
    if data.is_symlink() {
        let target = std::fs::read_link(&full).map_err(|e| e.to_string())?;
        let bytes = target.into_os_string().into_encoded_bytes();
        return Ok(File { bytes, executable: false, link: true });
    }
    if !data.is_file() {
        return Err("it is neither a file nor a link".into());
    }
    if data.len() > limits.bytes {
        return Err(format!("it is larger than {} MiB", limits.bytes >> 20));
    }
    let bytes = std::fs::read(&full).map_err(|e| e.to_string())?;
    Ok(File { bytes, executable: data.permissions().mode() & 0o100 != 0, link: false })
}

/// Everything below a folder that is no git's, no environment's of Python and no installed package.
fn walk(root: &Path, below: &Path, out: &mut Vec<String>, most: usize) -> Result<()> {
    let folder = root.join(below);
    let entries = std::fs::read_dir(&folder).map_err(ToolsError::file("read", &folder))?;
    for entry in entries.flatten() {
        let name = entry.file_name();
        let path = below.join(&name);
        let is_folder = entry.file_type().is_ok_and(|kind| kind.is_dir());
        let skipped = [".git", "node_modules", "__pycache__", ".venv"].iter().any(|s| name == *s);
        if is_folder && !skipped && !entry.path().join("pyvenv.cfg").exists() {
            walk(root, &path, out, most)?;
        } else if !is_folder && !skipped {
            out.push(path.to_string_lossy().into_owned());
        }
        if out.len() > most {
            let from = root.display().to_string();
            return Err(ToolsError::Limit { from, why: format!("it has more than {most} files") });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_refused() {
        for bad in [
            "../x",
            "a/../../x",
            "/etc/x",
            "",
            ".git/config",
            "a/.GIT/hooks/x",
            ".gitmodules",
            "a//b",
            "./a",
            "a\nb",
        ] {
            assert!(checked_path(bad).is_err(), "{bad:?}");
        }
        for good in ["a", "a/b.sh", ".gitignore", "a/.github/x"] {
            assert_eq!(checked_path(good), Ok(()), "{good:?}");
        }
    }

    #[test]
    fn links_stay_inside() {
        for (path, bad) in
            [("l", "/etc/passwd"), ("l", "../x"), ("a/l", "../../x"), ("a/l", "b/../../x")]
        {
            assert!(checked_link(path, bad).is_err(), "{path} {bad}");
        }
        for (path, good) in [("l", "a/b"), ("a/l", "../x"), ("a/b/l", "../../x/y"), ("l", "./a")] {
            assert_eq!(checked_link(path, good), Ok(()), "{path} {good}");
        }
    }

    #[test]
    fn the_users_folder_and_secrets_are_left_out() {
        for out in [".env", "a/prod.env", ".env.local", "custom/x", ".atk-ref"] {
            assert!(left_out(out).is_some(), "{out}");
        }
        for kept in [".env.example", "a/custom/x", "environment"] {
            assert!(left_out(kept).is_none(), "{kept}");
        }
    }
}
