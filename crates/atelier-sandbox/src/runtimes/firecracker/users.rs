//! Whom the monitors in jails run as: each as a user that nobody else on this machine is.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};

/// The first of these ids. systemd's UIDS-GIDS.md calls 0x7FFF_0000 up to 0x7FFF_FFFF unused; ranges
/// of sandboxes from images lie below.
const FIRST: u32 = 0x7FFF_0000;
const COUNT: u32 = 0xFFFF;
/// Who has which, for all homes of this machine. After a boot there is none.
const CLAIMS: &str = "/run/atelier-jails";

/// The user of the machine whose folder this is: the same one as long as the folder is there.
pub(super) fn claim(folder: &Path) -> io::Result<u32> {
    claim_in(Path::new(CLAIMS), folder)
}

fn claim_in(claims: &Path, folder: &Path) -> io::Result<u32> {
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).read(true).write(true).mode(0o600);
    let mut file = Flock::lock(file.open(claims)?, FlockArg::LockExclusive)
        .map_err(|(_, error)| io::Error::from(error))?;
    let mut known = read(&mut file)?;
    if let Some((slot, _)) = known.iter().find(|(_, it)| it == folder) {
        return Ok(FIRST + slot);
    }
    known.retain(|(_, folder)| folder.is_dir());
    let taken = |slot: &u32| known.iter().any(|(it, _)| it == slot);
    let slot = (0..COUNT).find(|slot| !taken(slot));
    let slot = slot.ok_or_else(|| io::Error::other("every user for jails is taken"))?;
    known.push((slot, folder.to_owned()));
    write(&mut file, &known)?;
    Ok(FIRST + slot)
}

/// Records are `number path`, each ended by a zero byte, which no path has.
fn read(file: &mut File) -> io::Result<Vec<(u32, PathBuf)>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let record = |record: &[u8]| {
        let space = record.iter().position(|byte| *byte == b' ')?;
        let (number, path) = (record.get(..space)?, record.get(space + 1..)?);
        let number = std::str::from_utf8(number).ok()?.parse().ok()?;
        Some((number, PathBuf::from(std::ffi::OsString::from_vec(path.to_vec()))))
    };
    Ok(bytes.split(|byte| *byte == 0).filter_map(record).collect())
}

fn write(file: &mut File, known: &[(u32, PathBuf)]) -> io::Result<()> {
    let mut bytes = Vec::new();
    for (slot, folder) in known {
        bytes.extend_from_slice(format!("{slot} ").as_bytes());
        bytes.extend_from_slice(folder.as_os_str().as_bytes());
        bytes.push(0);
    }
    file.rewind()?;
    file.write_all(&bytes)?;
    file.set_len(bytes.len() as u64)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn each_folder_has_a_user_of_its_own_for_as_long_as_it_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let claims = dir.path().join("claims");
        let folder = |name: &str| {
            let folder = dir.path().join(name);
            fs::create_dir_all(&folder).unwrap();
            folder
        };
        let (one, two) = (folder("one"), folder("with a space"));
        let first = claim_in(&claims, &one).unwrap();
        assert!((FIRST..FIRST + COUNT).contains(&first));
        let second = claim_in(&claims, &two).unwrap();
        assert_ne!(first, second);
        assert_eq!(claim_in(&claims, &one).unwrap(), first);
        fs::remove_dir(&one).unwrap();
        assert_eq!(claim_in(&claims, &folder("three")).unwrap(), first, "nobody has it any more");
        assert_eq!(claim_in(&claims, &two).unwrap(), second);
    }
}
