//! Folders of sandboxes that have no tar: file by file, several at a time.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use atelier_client::guest::client::Guest;
use atelier_client::guest::wire::{Code, EntryInfo, FileType};
use tokio::task::JoinSet;

use super::beneath::{Kept, Root, keep};
use super::file::{self, pour, read_blocks, run, set_mode};
use super::{WAITING, failed, join};
use crate::failure::Failure;
use crate::output::{count, note};

/// Files that are copied at the same time.
const AT_ONCE: usize = 8;
/// Paths of one chmod.
const BATCH: usize = 200;

/// Waits until there is room for one more.
async fn room(tasks: &mut JoinSet<Result<(), Failure>>, most: usize) -> Result<(), Failure> {
    while tasks.len() > most {
        if let Some(done) = tasks.join_next().await {
            done.map_err(|e| failed("a file cannot be copied", &std::io::Error::other(e)))??;
        }
    }
    Ok(())
}

/// Copies what is in a folder into one of the sandbox, which is there.
pub(super) async fn folder_in(guest: &Guest, from: &Path, to: &str) -> Result<(), Failure> {
    let unreadable = |path: &Path, error| Failure::of_file("read", path, &error);
    let mut tasks = JoinSet::new();
    let mut modes: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    let (mut links, mut special) = (Vec::new(), 0);
    let mut waiting = vec![(from.to_owned(), to.to_owned())];
    while let Some((folder, there)) = waiting.pop() {
        for entry in fs::read_dir(&folder).map_err(|e| unreadable(&folder, e))? {
            let entry = entry.map_err(|e| unreadable(&folder, e))?;
            let (path, target) = (entry.path(), join(&there, &entry.file_name())?);
            let found = entry.metadata().map_err(|e| unreadable(&path, e))?;
            let mode = found.permissions().mode() & 0o7777;
            if found.is_dir() {
                make_dir(guest, &target).await?;
                modes.entry(mode).or_default().push(target.clone());
                waiting.push((path, target));
            } else if found.is_symlink() {
                links.push((fs::read_link(&path).map_err(|e| unreadable(&path, e))?, target));
            } else if found.is_file() {
                modes.entry(mode).or_default().push(target.clone());
                tasks.spawn(one_in(guest.clone(), path, target));
                room(&mut tasks, AT_ONCE - 1).await?;
            } else {
                special += 1;
            }
        }
    }
    room(&mut tasks, 0).await?;
    make_links(guest, links).await?;
    for (mode, paths) in modes {
        for some in paths.chunks(BATCH) {
            set_mode(guest, mode, some).await?;
        }
    }
    if special > 0 {
        note(&format!("{} left out", count(special, "device, pipe or socket")));
    }
    Ok(())
}

async fn make_dir(guest: &Guest, path: &str) -> Result<(), Failure> {
    match guest.make_dir(path).await {
        Err(error) if error.connect_code() != Some(Code::AlreadyExists) => Err(error.into()),
        _ => Ok(()),
    }
}

async fn one_in(guest: Guest, from: PathBuf, to: String) -> Result<(), Failure> {
    let file = fs::File::open(&from).map_err(|e| Failure::of_file("read", &from, &e))?;
    let (sender, receiver) = tokio::sync::mpsc::channel(WAITING);
    let reading = tokio::task::spawn_blocking(move || read_blocks(file, &sender));
    let written = guest.write_pieces(&to, receiver).await;
    let _ = reading.await;
    written?;
    Ok(())
}

async fn make_links(guest: &Guest, links: Vec<(PathBuf, String)>) -> Result<(), Failure> {
    let mut lost = 0;
    for (target, name) in links {
        let made = match target.to_str() {
            Some(target) => {
                let words = ["-sfn", "--", target, &name].map(str::to_owned);
                run(guest, "ln", words.to_vec()).await?
            }
            None => false,
        };
        lost += usize::from(!made);
    }
    if lost > 0 {
        note(&format!("{} left out: ln in the sandbox failed", count(lost, "symlink")));
    }
    Ok(())
}

/// Copies what is in a folder of the sandbox below one of this machine.
pub(super) async fn folder_out(guest: &Guest, from: &str, root: &Root) -> Result<(), Failure> {
    let again = || root.again().map_err(|e| file::unwritable(&e));
    let top = guest.stat(from).await?.path;
    let mut here = again()?;
    let mut tasks = JoinSet::new();
    let (mut folders, mut special) = (Vec::new(), 0);
    let mut waiting = vec![(from.to_owned(), String::new())];
    while let Some((there, below)) = waiting.pop() {
        for entry in guest.list_dir(&there, 1).await? {
            let name = single(&entry.name)?;
            let source = format!("{}/{name}", there.strip_suffix('/').unwrap_or(&there));
            let target = if below.is_empty() { name.to_owned() } else { format!("{below}/{name}") };
            match (&entry.symlink_target, entry.kind) {
                (Some(end), _) => {
                    let link = relative(&top, end, &target);
                    let made = here.symlink(target.as_bytes(), link.as_bytes());
                    made.map_err(|e| file::unwritable(&e))?;
                }
                (None, FileType::Directory) => {
                    here.folder(target.as_bytes()).map_err(|e| file::unwritable(&e))?;
                    folders.push((target.clone(), entry.mode));
                    waiting.push((source, target));
                }
                (None, FileType::File) => {
                    tasks.spawn(one_out(guest.clone(), source, entry, again()?, target));
                    room(&mut tasks, AT_ONCE - 1).await?;
                }
                _ => special += 1,
            }
        }
    }
    room(&mut tasks, 0).await?;
    for (name, mode) in folders.into_iter().rev() {
        let kept = Kept { mode, modified: None };
        here.keep_folder(name.as_bytes(), kept).map_err(|e| file::unwritable(&e))?;
    }
    if special > 0 {
        note(&format!("{} left out", count(special, "device, pipe or socket")));
    }
    Ok(())
}

async fn one_out(
    guest: Guest,
    from: String,
    entry: EntryInfo,
    mut root: Root,
    to: String,
) -> Result<(), Failure> {
    let stream = guest.open_file(&from).await?;
    let file = root.file(to.as_bytes()).map_err(|e| file::unwritable(&e))?;
    let kept = Kept { mode: entry.mode, modified: None };
    let written = pour(stream, file).await?.and_then(|file| keep(&file, kept));
    written.map_err(|e| file::unwritable(&e))
}

/// A name that is one name.
fn single(name: &str) -> Result<&str, Failure> {
    if name.is_empty() || name.contains(['/', '\0']) || matches!(name, "." | "..") {
        let why = format!("the sandbox sent the name {name:?}, which leads out of the copy");
        let error = std::io::Error::new(std::io::ErrorKind::InvalidData, why);
        return Err(failed("the folder cannot be copied", &error));
    }
    Ok(name)
}

/// Where a symlink leads: within the copy as seen from its own place, else as the sandbox says.
fn relative(top: &str, end: &str, name: &str) -> String {
    let below = end.strip_prefix(top).filter(|rest| rest.is_empty() || rest.starts_with('/'));
    match below {
        Some(rest) => {
            let up = "../".repeat(name.matches('/').count());
            let path = format!("{up}{}", rest.trim_start_matches('/'));
            if path.is_empty() { ".".to_owned() } else { path }
        }
        None => end.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_within_the_copy_stay_within_it() {
        assert_eq!(relative("/srv", "/srv/a/b", "link"), "a/b");
        assert_eq!(relative("/srv", "/srv/a/b", "x/y/link"), "../../a/b");
        assert_eq!(relative("/srv", "/srv", "link"), ".");
        assert_eq!(relative("/srv", "/srvother/a", "link"), "/srvother/a");
    }

    #[test]
    fn a_name_is_one_name() {
        assert!(single("a").is_ok());
        for bad in ["", ".", "..", "../x", "/x", "a/b"] {
            assert!(single(bad).is_err(), "{bad}");
        }
    }
}
