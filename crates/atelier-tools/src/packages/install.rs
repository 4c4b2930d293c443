//! Packages on this machine: each set in a folder that is named after its lock, so a new one lies beside the old and
//! nothing has to be swapped. `npm` and `pypi` are links to the ones in use.

use std::path::{Path, PathBuf};

use super::{npm, pypi};
use crate::context::Context;
use crate::home::files;
use crate::{Home, Result, Slug, ToolsError};

/// Written when a folder is whole; holds its own path, because virtual environments can't be moved.
const WHOLE: &str = ".atelier-whole";

const SETS: [(&str, &str); 2] = [("npm", "package-lock.json"), ("pypi", "requirements.txt")];

/// Where a set lies that this lock makes.
fn place(home: &Home, slug: &Slug, kind: &str, lock: &[u8], scripts: bool) -> PathBuf {
    let end = if scripts && kind == "npm" { "-s" } else { "" };
    let hash: String = files::sha256(lock).chars().take(16).collect();
    home.packages(slug).join(format!("{kind}-{hash}{end}"))
}

fn is_whole(folder: &Path) -> bool {
    let said = std::fs::read_to_string(folder.join(WHOLE)).unwrap_or_default();
    said.trim() == folder.to_string_lossy()
}

/// Whether everything of the locks in `locks` is installed and in use.
pub(crate) fn installed(home: &Home, slug: &Slug, locks: &Path, scripts: bool) -> bool {
    SETS.iter().all(|(kind, file)| match std::fs::read(locks.join(file)) {
        Err(_) => true,
        Ok(lock) => {
            let folder = place(home, slug, kind, &lock, scripts);
            let used = std::fs::read_link(home.packages(slug).join(kind));
            is_whole(&folder) && used.is_ok_and(|used| Some(used.as_os_str()) == folder.file_name())
        }
    })
}

/// Installs what the files in `locks` say. What is there already is left alone.
pub(crate) fn install(
    home: &Home,
    slug: &Slug,
    locks: &Path,
    scripts: bool,
    context: &Context<'_>,
) -> Result<()> {
    for (kind, file) in SETS {
        let Ok(lock) = std::fs::read(locks.join(file)) else { continue };
        let folder = place(home, slug, kind, &lock, scripts);
        if is_whole(&folder) {
            continue;
        }
        context.at("installing", &format!("{kind} packages of {slug}"))?;
        files::remove(&folder)?;
        let made = match kind {
            "npm" => {
                files::folder(&folder)?;
                for name in ["package.json", "package-lock.json"] {
                    let (from, to) = (locks.join(name), folder.join(name));
                    std::fs::copy(&from, &to).map_err(ToolsError::file("copied", &from))?;
                }
                npm::install(slug, &folder, scripts, context)
            }
            _ => {
                files::folder(&home.packages(slug))?;
                pypi::install(slug, &folder, &locks.join(file), context)
            }
        };
        if let Err(error) = made {
            files::remove(&folder)?;
            return Err(error);
        }
        files::write_new(&folder.join(WHOLE), folder.to_string_lossy().as_bytes(), 0o600)?;
    }
    Ok(())
}

/// Puts what the home's own locks say into use; gives the names of what is used.
pub(crate) fn link(home: &Home, slug: &Slug, scripts: bool) -> Result<Vec<std::ffi::OsString>> {
    let mut used = Vec::new();
    for (kind, file) in SETS {
        let link = home.packages(slug).join(kind);
        let Ok(lock) = std::fs::read(home.locks(slug).join(file)) else {
            files::remove(&link)?;
            continue;
        };
        let folder = place(home, slug, kind, &lock, scripts);
        if !is_whole(&folder) {
            continue;
        }
        let name = folder.file_name().unwrap_or_default().to_owned();
        let aside = home.packages(slug).join(format!(".{kind}.new"));
        files::remove(&aside)?;
        std::os::unix::fs::symlink(&name, &aside).map_err(ToolsError::file("linked", &aside))?;
        files::rename(&aside, &link)?;
        used.extend([name, kind.into()]);
    }
    Ok(used)
}

/// The same, and every other set is removed.
pub(crate) fn sweep(home: &Home, slug: &Slug, scripts: bool) -> Result<()> {
    let used = link(home, slug, scripts)?;
    for entry in std::fs::read_dir(home.packages(slug)).into_iter().flatten().flatten() {
        if !used.contains(&entry.file_name()) {
            files::remove(&entry.path())?;
        }
    }
    match used.is_empty() {
        true => files::remove(&home.packages(slug)),
        false => Ok(()),
    }
}
