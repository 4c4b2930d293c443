//! Folders that are being listed, and the line that `ls -l` would show for an entry.

use std::collections::HashMap;
use std::fs::{Metadata, ReadDir};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::attributes;
use crate::wire::{LONGEST_DATA, Message, reply};

/// Entries of one answer.
const MANY: usize = 128;

/// A folder that is being listed.
pub(crate) struct Listing {
    folder: PathBuf,
    entries: ReadDir,
    /// `.` and `..`, which clients expect and the standard library leaves out.
    own: Vec<&'static str>,
    names: Names,
}

impl Listing {
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let entries = std::fs::read_dir(folder)?;
        let own = vec!["..", "."];
        Ok(Self { folder: folder.to_owned(), entries, own, names: Names::read() })
    }

    /// The next entries as the answer to a request; None at the end.
    pub(crate) fn next(&mut self, id: u32) -> io::Result<Option<Vec<u8>>> {
        let mut body = Message::new(0);
        let start = body.len();
        let mut count = 0u32;
        // The longest name and its line fit into what is left below a message's limit.
        while (count as usize) < MANY && body.len() - start < LONGEST_DATA / 2 {
            let Some((name, found)) = self.entry()? else { break };
            let line = line(&name, &found, &self.names);
            body = attributes::write(body.bytes(&name).bytes(&line), &found);
            count += 1;
        }
        if count == 0 {
            return Ok(None);
        }
        let body = body.finish();
        let answer = Message::to(reply::NAME, id).u32(count);
        Ok(Some(answer.raw(body.get(start..).unwrap_or_default()).finish()))
    }

    fn entry(&mut self) -> io::Result<Option<(Vec<u8>, Metadata)>> {
        while let Some(own) = self.own.pop() {
            if let Ok(found) = std::fs::symlink_metadata(self.folder.join(own)) {
                return Ok(Some((own.as_bytes().to_vec(), found)));
            }
        }
        for entry in self.entries.by_ref() {
            let entry = entry?;
            // What went away since is not there.
            if let Ok(found) = entry.metadata() {
                return Ok(Some((entry.file_name().as_bytes().to_vec(), found)));
            }
        }
        Ok(None)
    }
}

/// Names of owners, read once for each listing.
#[derive(Debug, Default)]
struct Names {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Names {
    fn read() -> Self {
        Self { users: ids_of("/etc/passwd"), groups: ids_of("/etc/group") }
    }
}

/// The third field of each line, with the first.
fn ids_of(path: &str) -> HashMap<u32, String> {
    let text = std::fs::read(path).unwrap_or_default();
    let mut names = HashMap::new();
    for line in String::from_utf8_lossy(&text).lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(Ok(id))) = (fields.next(), fields.nth(1).map(str::parse)) {
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

fn line(name: &[u8], found: &Metadata, names: &Names) -> Vec<u8> {
    let named = |known: &HashMap<u32, String>, id: u32| {
        known.get(&id).cloned().unwrap_or_else(|| id.to_string())
    };
    let mut line = format!(
        "{} {:>4} {:<8} {:<8} {:>8} {} ",
        mode_text(found.mode()),
        found.nlink(),
        named(&names.users, found.uid()),
        named(&names.groups, found.gid()),
        found.len(),
        date(found.mtime()),
    )
    .into_bytes();
    line.extend_from_slice(name);
    line
}

fn mode_text(mode: u32) -> String {
    let kind = match mode & 0o170_000 {
        0o040_000 => 'd',
        0o120_000 => 'l',
        0o010_000 => 'p',
        0o140_000 => 's',
        0o060_000 => 'b',
        0o020_000 => 'c',
        _ => '-',
    };
    let mut text = String::from(kind);
    for (shift, special, letter) in [(6, 0o4000, 's'), (3, 0o2000, 's'), (0, 0o1000, 't')] {
        let bits = mode >> shift;
        text.push(if bits & 4 != 0 { 'r' } else { '-' });
        text.push(if bits & 2 != 0 { 'w' } else { '-' });
        text.push(match (bits & 1 != 0, mode & special != 0) {
            (true, true) => letter,
            (false, true) => letter.to_ascii_uppercase(),
            (true, false) => 'x',
            (false, false) => '-',
        });
    }
    text
}

/// `2026-11-21 07:10`, in UTC.
fn date(seconds: i64) -> String {
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Howard Hinnant's `civil_from_days` (https://howardhinnant.github.io/date_algorithms.html).
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let of_era = shifted.rem_euclid(146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    let (hour, minute) = (of_day / 3600, of_day / 60 % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_and_dates_read_as_in_ls() {
        assert_eq!(mode_text(0o100_644), "-rw-r--r--");
        assert_eq!(mode_text(0o041_777), "drwxrwxrwt");
        assert_eq!(mode_text(0o104_600), "-rwS------");
        assert_eq!(date(0), "1970-01-01 00:00");
        assert_eq!(date(951_782_400), "2000-02-29 00:00");
    }
}
