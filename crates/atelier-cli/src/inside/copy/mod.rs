//! Copies between this machine and a sandbox. Which names are meant is decided here; how bytes
//! travel is in the files beside this one: `pack.rs` and `unpack.rs` for folders, by way of the tar
//! inside; `plain.rs` for folders where there is none; `file.rs` for single files.
//!
//! The sandbox is not trusted: what it names is written by `beneath.rs` only.

mod beneath;
mod file;
mod pack;
mod plain;
mod tar;
mod unpack;

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Component, Path, PathBuf};

use atelier_api::{ExitCode, Problem};
use atelier_client::guest::client::{Guest, GuestError};
use atelier_client::guest::wire::{Code, EntryInfo, FileType};

use crate::failure::Failure;

pub(crate) use file::read_stdin;

/// Bytes that are read and sent at once.
const BLOCK: usize = 512 << 10;
/// Blocks that wait on their way.
const WAITING: usize = 4;

/// Copies a file or a folder in. A folder that is at `to` takes it in.
pub(crate) async fn copy_in(guest: &Guest, from: &Path, to: &str) -> Result<(), Failure> {
    let found = std::fs::metadata(from).map_err(|e| Failure::of_file("read", from, &e))?;
    let name = last_name(from);
    let there = kind_of(guest, if to.is_empty() { "." } else { to }).await?;
    let target = match (there, name) {
        (Some(FileType::Directory), Some(name)) => join(to, &name)?,
        (None, Some(name)) if to.ends_with('/') && !found.is_dir() => join(to, &name)?,
        (Some(FileType::File), _) if found.is_dir() => {
            return Err(not_a_folder(to, "the sandbox"));
        }
        _ if to.is_empty() => ".".to_owned(),
        _ => to.to_owned(),
    };
    if found.is_dir() {
        tar::folder_in(guest, from, &target).await
    } else {
        file::file_in(guest, from, &target).await
    }
}

/// Copies a file or a folder out. A folder that is at `to` takes it in.
pub(crate) async fn copy_out(guest: &Guest, from: &str, to: &Path) -> Result<(), Failure> {
    let source = if from.is_empty() { "." } else { from };
    let entry: EntryInfo = guest.stat(source).await?;
    // The name is the user's word, never the sandbox's.
    let name = last_name(Path::new(from));
    let there = std::fs::metadata(to).ok();
    let into = there.as_ref().is_some_and(std::fs::Metadata::is_dir);
    let target: PathBuf = match name {
        Some(name) if into => to.join(name),
        _ => to.to_owned(),
    };
    match entry.kind {
        FileType::Directory if there.is_some() && !into => {
            Err(not_a_folder(&to.display().to_string(), "this machine"))
        }
        FileType::Directory => tar::folder_out(guest, source, &target).await,
        FileType::File => file::file_out(guest, source, &entry, &target).await,
        _ => {
            let detail = format!("{source} in the sandbox is neither a file nor a folder");
            Err(Problem::new("copy.unsupported", ExitCode::Usage, detail).into())
        }
    }
}

/// What a copy is called; none when the path means what is in a folder, as `.` and `dir/.` do.
fn last_name(path: &Path) -> Option<OsString> {
    let bytes = path.as_os_str().as_bytes();
    let trimmed = bytes.iter().rposition(|b| *b != b'/').map_or(bytes, |at| &bytes[..=at]);
    let last = trimmed.rsplit(|b| *b == b'/').next().unwrap_or_default();
    let name = OsString::from_vec(last.to_vec());
    let normal =
        matches!(Path::new(&name).components().collect::<Vec<_>>()[..], [Component::Normal(_)]);
    normal.then_some(name)
}

async fn kind_of(guest: &Guest, path: &str) -> Result<Option<FileType>, GuestError> {
    match guest.stat(path).await {
        Ok(entry) => Ok(Some(entry.kind)),
        Err(error) if error.connect_code() == Some(Code::NotFound) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A name in a folder of the sandbox.
fn join(folder: &str, name: &OsString) -> Result<String, Failure> {
    let name = name.to_str().ok_or_else(|| {
        Failure::usage(format!("the name {name:?} is not UTF-8; give the copy another one"))
    })?;
    let folder = if folder.is_empty() { "." } else { folder };
    Ok(format!("{}/{name}", folder.strip_suffix('/').unwrap_or(folder)))
}

fn not_a_folder(path: &str, place: &str) -> Failure {
    let detail = format!("{path} on {place} is a file, and a folder is to be copied there");
    Problem::new("copy.conflict", ExitCode::Conflict, detail)
        .hint("name another place, or remove the file")
        .into()
}

/// What failed here while a folder was copied.
fn failed(what: &str, error: &std::io::Error) -> Failure {
    let exit = match error.kind() {
        std::io::ErrorKind::PermissionDenied => ExitCode::NotPermitted,
        _ => ExitCode::Failed,
    };
    Problem::new("copy.failed", exit, format!("{what}: {error}")).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_called_as_the_user_called_it() {
        for (path, want) in [
            ("/a/b", Some("b")),
            ("b/", Some("b")),
            ("dir/.", None),
            (".", None),
            ("..", None),
            ("/", None),
            ("", None),
        ] {
            assert_eq!(last_name(Path::new(path)), want.map(OsString::from), "{path}");
        }
    }
}
