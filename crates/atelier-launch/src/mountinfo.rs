//! What is mounted where: `/proc/self/mountinfo`, reduced to what one can see.
//!
//! Reading and arithmetic only; nothing is mounted here.

use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::{Path, PathBuf};

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MountPoint {
    /// The kernel's number of the mount.
    pub id: u32,
    /// The number of the mount that it lies on.
    pub parent: u32,
    /// Where it is mounted, seen from our root.
    pub path: PathBuf,
    /// The file system's name, such as `ext4`.
    pub fstype: String,
}

/// The mounts that can be reached by a path, in the order of their paths.
///
/// A mount that another one covers is left out, because what lies below a cover is not part of
/// the machine's view.
pub fn visible(text: &[u8]) -> Vec<MountPoint> {
    let all: Vec<MountPoint> = text.split(|b| *b == b'\n').filter_map(parse).collect();
    let by_id: HashMap<u32, &MountPoint> = all.iter().map(|m| (m.id, m)).collect();
    let mut at_path: HashMap<&Path, Vec<&MountPoint>> = HashMap::new();
    for mount in &all {
        at_path.entry(&mount.path).or_default().push(mount);
    }
    let covers = |upper: &MountPoint, lower: &MountPoint| {
        upper.id != lower.id
            && !lies_on(&by_id, lower, upper.id)
            && (upper.path != lower.path || lies_on(&by_id, upper, lower.id))
    };
    let seen = |m: &MountPoint| {
        let mut above = m.path.ancestors().filter_map(|path| at_path.get(path)).flatten();
        !above.any(|other| covers(other, m))
    };
    let mut mounts: Vec<_> = all.iter().filter(|m| seen(m)).cloned().collect();
    mounts.sort_by(|a, b| a.path.cmp(&b.path));
    mounts
}

/// Whether `mount` lies on the mount `id`, directly or over others.
fn lies_on(by_id: &HashMap<u32, &MountPoint>, mount: &MountPoint, id: u32) -> bool {
    let mut at = mount;
    for _ in 0..by_id.len() {
        match by_id.get(&at.parent) {
            Some(_) if at.parent == id => return true,
            Some(up) if up.id != at.id => at = up,
            _ => return false,
        }
    }
    false
}

/// Whether something is mounted strictly below `path`.
pub fn any_below(mounts: &[MountPoint], path: &Path) -> bool {
    mounts.iter().any(|m| m.path != path && m.path.starts_with(path))
}

fn parse(line: &[u8]) -> Option<MountPoint> {
    let mut fields = line.split(|b| *b == b' ');
    let mut number = || std::str::from_utf8(fields.next()?).ok()?.parse::<u32>().ok();
    let (id, parent) = (number()?, number()?);
    let path = PathBuf::from(OsString::from_vec(unescape(fields.nth(2)?)));
    let fstype = fields.skip_while(|field| *field != b"-").nth(1)?;
    Some(MountPoint { id, parent, path, fstype: String::from_utf8_lossy(fstype).into_owned() })
}

/// mountinfo writes space, tab, newline and backslash as `\` and three octal digits.
fn unescape(field: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(field.len());
    let mut at = 0;
    while at < field.len() {
        let octal = field.get(at + 1..at + 4).filter(|_| field[at] == b'\\');
        let octal = octal.and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = octal.and_then(|digits| u8::from_str_radix(digits, 8).ok()) {
            out.push(byte);
            at += 4;
        } else {
            out.push(field[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(u32, PathBuf)> {
        visible(text.as_bytes()).into_iter().map(|m| (m.id, m.path)).collect()
    }

    #[test]
    fn a_path_with_a_space_and_a_newline_is_read_as_it_is() {
        let text = "30 27 8:1 / /mnt/a\\040b\\012c rw shared:1 master:2 - ext4 /dev/sda rw\n";
        let mounts = visible(text.as_bytes());
        assert_eq!(mounts[0].path, Path::new("/mnt/a b\nc"));
        assert_eq!(mounts[0].fstype, "ext4");
    }

    #[test]
    fn of_two_mounts_at_one_place_the_upper_one_is_seen() {
        let text = "27 1 8:1 / / rw - ext4 a rw\n25 27 0:1 / /dev/shm rw - tmpfs a rw\n\
                    30 25 0:2 / /dev/shm rw - tmpfs b rw\n";
        assert_eq!(paths(text), [(27, "/".into()), (30, "/dev/shm".into())]);
    }

    #[test]
    fn what_a_later_mount_covers_is_not_seen() {
        let text = "27 1 8:1 / / rw - ext4 a rw\n30 27 0:1 / /srv/deep rw - ext4 b rw\n\
                    31 27 0:2 / /srv rw - tmpfs c rw\n32 31 0:3 / /srv/new rw - ext4 d rw\n";
        assert_eq!(paths(text), [(27, "/".into()), (31, "/srv".into()), (32, "/srv/new".into())]);
    }

    #[test]
    fn a_root_that_lies_on_rootfs_is_seen() {
        let text = "1 1 0:1 / / rw - rootfs rootfs rw\n27 1 8:1 / / rw - ext4 a rw\n";
        assert_eq!(paths(text), [(27, "/".into())]);
    }
}
