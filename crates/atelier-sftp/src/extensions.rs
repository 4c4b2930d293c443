//! OpenSSH's extensions of version 3 (`PROTOCOL` in its sources, section 4).

use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatVfs};

use crate::attributes::Wanted;
use crate::files;
use crate::server::{Failed, Server};
use crate::wire::{Fields, LONGEST, LONGEST_DATA, Message, reply};

/// Those that are served, with their versions.
pub(crate) const SERVED: &[(&str, &str)] = &[
    ("posix-rename@openssh.com", "1"),
    ("statvfs@openssh.com", "2"),
    ("fstatvfs@openssh.com", "2"),
    ("hardlink@openssh.com", "1"),
    ("fsync@openssh.com", "1"),
    ("lsetstat@openssh.com", "1"),
    ("limits@openssh.com", "1"),
    ("expand-path@openssh.com", "1"),
];

/// Answers one; `fields` is what follows its name.
pub(crate) fn answer(
    server: &mut Server,
    id: u32,
    name: &[u8],
    fields: &mut Fields<'_>,
) -> Result<Message, Failed> {
    match name {
        b"posix-rename@openssh.com" => {
            let (from, to) = (files::path(fields.bytes()?), files::path(fields.bytes()?));
            std::fs::rename(from, to)?;
        }
        b"hardlink@openssh.com" => {
            let (from, to) = (files::path(fields.bytes()?), files::path(fields.bytes()?));
            rustix::fs::linkat(CWD, from, CWD, to, AtFlags::empty()).map_err(io::Error::from)?;
        }
        b"fsync@openssh.com" => server.file(fields)?.file.sync_all()?,
        b"lsetstat@openssh.com" => {
            let path = files::path(fields.bytes()?);
            Wanted::read(fields)?.set_at(&path, true)?;
        }
        b"statvfs@openssh.com" => {
            let found = rustix::fs::statvfs(files::path(fields.bytes()?));
            return Ok(disk(id, &found.map_err(io::Error::from)?));
        }
        b"fstatvfs@openssh.com" => {
            let found = rustix::fs::fstatvfs(&server.file(fields)?.file);
            return Ok(disk(id, &found.map_err(io::Error::from)?));
        }
        b"limits@openssh.com" => return Ok(limits(id)),
        b"expand-path@openssh.com" => {
            let path = expand(fields.bytes()?)?;
            return Ok(Server::one_name(id, path.as_os_str().as_bytes()));
        }
        _ => return Err(Failed::Unsupported),
    }
    Ok(Server::done(id))
}

fn limits(id: u32) -> Message {
    Message::to(reply::EXTENDED, id)
        .u64(LONGEST as u64)
        .u64(LONGEST_DATA as u64)
        .u64(LONGEST_DATA as u64)
        .u64(Server::MOST_HANDLES as u64)
}

fn disk(id: u32, found: &StatVfs) -> Message {
    // Bits of the extension's own: read-only, no set-user-id.
    let flags = found.f_flag.bits() & 3;
    [
        found.f_bsize,
        found.f_frsize,
        found.f_blocks,
        found.f_bfree,
        found.f_bavail,
        found.f_files,
        found.f_ffree,
        found.f_favail,
        found.f_fsid,
        flags,
        found.f_namemax,
    ]
    .into_iter()
    .fold(Message::to(reply::EXTENDED, id), Message::u64)
}

/// `~` is the user's home.
fn expand(bytes: &[u8]) -> io::Result<PathBuf> {
    let home = || std::env::var_os("HOME").map_or_else(|| PathBuf::from("/"), PathBuf::from);
    let path = files::path(bytes);
    match path.strip_prefix("~") {
        Ok(rest) if rest.as_os_str().is_empty() => files::real_path(&home()),
        Ok(rest) => files::real_path(&home().join(rest)),
        Err(_) if bytes.starts_with(b"~") => Err(io::ErrorKind::NotFound.into()),
        Err(_) => files::real_path(Path::new(&path)),
    }
}
