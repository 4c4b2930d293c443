//! What an entry of the file system looks like on the wire.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::files::metadata;
use super::super::users::Names;
use crate::wire::{ConnectError, EntryInfo, FileType};

/// Describes what is at a path.
pub(super) fn describe(path: &Path, names: &Names) -> Result<EntryInfo, ConnectError> {
    let found = fs::symlink_metadata(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => {
            ConnectError::not_found(format!("file not found: {}", path.display()))
        }
        _ => {
            ConnectError::internal(format!("error getting file info: {}: {error}", path.display()))
        }
    })?;
    let target = found.is_symlink().then(|| end_of_link(path));
    let (kind, mode) = match &target {
        None => (kind_of(&found), found.mode()),
        Some(target) => fs::metadata(target)
            .map_or((FileType::Unspecified, 0), |end| (kind_of(&end), end.mode())),
    };
    Ok(EntryInfo {
        name: path.file_name().map_or_else(|| "/".into(), |it| it.to_string_lossy().into_owned()),
        kind,
        path: path.to_string_lossy().into_owned(),
        size: Some(found.len()),
        mode: mode & 0o777,
        permissions: permissions(found.mode()),
        owner: names.user(found.uid()),
        group: names.group(found.gid()),
        modified_time: Some(rfc3339(found.mtime(), found.mtime_nsec())),
        symlink_target: target.map(|target| target.to_string_lossy().into_owned()),
        metadata: metadata::read(path),
    })
}

fn end_of_link(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_path_buf())
}

fn kind_of(found: &Metadata) -> FileType {
    if found.is_file() {
        FileType::File
    } else if found.is_dir() {
        FileType::Directory
    } else {
        FileType::Unspecified
    }
}

/// Permissions in Go's letters (`fs.FileMode.String`), which E2B's clients are used to.
fn permissions(mode: u32) -> String {
    let mut text = String::new();
    let kind = match mode & libc::S_IFMT {
        libc::S_IFDIR => "d",
        libc::S_IFLNK => "L",
        libc::S_IFIFO => "p",
        libc::S_IFSOCK => "S",
        libc::S_IFBLK => "D",
        libc::S_IFCHR => "Dc",
        _ => "",
    };
    text.push_str(kind);
    for (bit, letter) in [(libc::S_ISUID, 'u'), (libc::S_ISGID, 'g'), (libc::S_ISVTX, 't')] {
        if mode & bit != 0 {
            text.push(letter);
        }
    }
    if text.is_empty() {
        text.push('-');
    }
    for (index, letter) in "rwxrwxrwx".chars().enumerate() {
        text.push(if mode & (0o400 >> index) != 0 { letter } else { '-' });
    }
    text
}

/// A time as RFC 3339 in UTC, with nine digits of fraction where there is one.
fn rfc3339(seconds: i64, nanoseconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = civil(days);
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    let fraction = if nanoseconds == 0 { String::new() } else { format!(".{nanoseconds:09}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

/// The date of a day counted from 1970-01-01: Howard Hinnant's `civil_from_days`
/// (<https://howardhinnant.github.io/date_algorithms.html>).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rfc_3339_in_utc() {
        assert_eq!(rfc3339(0, 0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_400, 0), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_795_234_447, 5_000_000), "2026-11-21T04:14:07.005000000Z");
        assert_eq!(rfc3339(-1, 0), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn permissions_are_written_as_go_does() {
        assert_eq!(permissions(libc::S_IFREG | 0o644), "-rw-r--r--");
        assert_eq!(permissions(libc::S_IFDIR | 0o755), "drwxr-xr-x");
        assert_eq!(permissions(libc::S_IFLNK | 0o777), "Lrwxrwxrwx");
        assert_eq!(permissions(libc::S_IFDIR | libc::S_ISVTX | 0o777), "dtrwxrwxrwx");
    }
}
