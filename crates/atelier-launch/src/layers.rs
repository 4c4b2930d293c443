//! Copy-on-write layers: mounting overlayfs, and where a sandbox's upper layers are kept.
//!
//! Which directories get a layer is [`crate::view`]'s business.

use std::ffi::OsString;
use std::io;
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use nix::fcntl::{OFlag, open};
use nix::mount::{MsFlags, mount};
use nix::sys::stat::{Mode, umask};

/// mount(2) takes one page of options; what is longer goes through descriptors.
const MAX_PLAIN: usize = 3000;
/// What the layer over `/` is called.
pub const ROOT: &str = "root";
/// A name in the layers directory that is longer is cut and told apart by a checksum.
const MAX_NAME: usize = 180;

/// Mounts an overlay. Always with `userxattr`, so that layers that root wrote can be used by a
/// user namespace and the other way round.
pub fn overlay(target: &Path, lowers: &[&Path], upper: &Path, work: &Path) -> io::Result<()> {
    let length: usize = lowers.iter().map(|path| path.as_os_str().len() + 1).sum();
    let plain = length < MAX_PLAIN;
    let mut held = Vec::new();
    let mut options = b"userxattr,index=off,lowerdir=".to_vec();
    for (at, lower) in lowers.iter().enumerate() {
        if at > 0 {
            options.push(b':');
        }
        options.extend(operand(lower, plain, &mut held)?);
    }
    for (key, path) in [(",upperdir=", upper), (",workdir=", work)] {
        options.extend(key.bytes());
        options.extend(operand(path, plain, &mut held)?);
    }
    let options = OsString::from_vec(options);
    let flags = MsFlags::MS_NODEV | MsFlags::MS_NOSUID;
    Ok(mount(Some("atelier"), target, Some("overlay"), flags, Some(options.as_os_str()))?)
}

/// A path as overlayfs's options take it: commas, colons and backslashes would be read as
/// syntax, so such a path is named by a descriptor.
fn operand(path: &Path, plain: bool, held: &mut Vec<OwnedFd>) -> io::Result<Vec<u8>> {
    let bytes = path.as_os_str().as_bytes();
    if plain && bytes.len() < 400 && !bytes.iter().any(|b| matches!(b, b',' | b':' | b'\\')) {
        return Ok(bytes.to_vec());
    }
    let fd = open(path, OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty())?;
    let name = format!("/proc/self/fd/{}", fd.as_raw_fd()).into_bytes();
    held.push(fd);
    Ok(name)
}

/// The upper and work directory for the layer over `lower`, made on the first launch. The upper
/// one gets the owner and mode of what it covers, because that is what will be seen.
pub fn prepare(layers_dir: &Path, lower: &Path) -> io::Result<(PathBuf, PathBuf)> {
    let base = layers_dir.join(layer_name(lower));
    let (upper, work) = (base.join("upper"), base.join("work"));
    if !(upper.is_dir() && work.is_dir()) {
        let meta = lower.metadata()?;
        let owner = nix::unistd::geteuid().is_root().then(|| (meta.uid(), meta.gid()));
        make(&base, &upper, &work, meta.mode(), owner)?;
    }
    Ok((upper, work))
}

/// The same for the root of an image, as [`ROOT`] in `layers_dir`; it belongs to whoever makes it.
pub fn prepare_root(layers_dir: &Path, mode: u32) -> io::Result<PathBuf> {
    let base = layers_dir.join(ROOT);
    let (upper, work) = (base.join("upper"), base.join("work"));
    if !(upper.is_dir() && work.is_dir()) {
        make(&base, &upper, &work, mode, None)?;
    }
    Ok(base)
}

fn make(
    base: &Path,
    upper: &Path,
    work: &Path,
    mode: u32,
    owner: Option<(u32, u32)>,
) -> io::Result<()> {
    private_dir(base)?;
    private_dir(work)?;
    // The final name appears only with the right mode: a launch that was cut short leaves no
    // layer that makes `/` look private.
    let making = base.join("making");
    let before = umask(Mode::empty());
    let made = std::fs::DirBuilder::new().mode(mode & 0o7777).create(&making);
    umask(before);
    ignore_existing(made)?;
    if let Some((uid, gid)) = owner {
        chown(&making, Some(uid), Some(gid))?;
    }
    std::fs::rename(&making, upper)
}

/// Makes a directory that only its owner may look into, unless it is there.
pub fn private_dir(path: &Path) -> io::Result<()> {
    ignore_existing(std::fs::DirBuilder::new().mode(0o700).create(path))
}

fn ignore_existing(made: io::Result<()>) -> io::Result<()> {
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

/// `/` is `root`, `/var/lib` is `root+var+lib`; `+`, `%` and odd bytes are escaped.
fn layer_name(lower: &Path) -> String {
    let mut name = String::from(ROOT);
    for part in lower.components().skip(1) {
        name.push('+');
        for byte in part.as_os_str().as_bytes() {
            match byte {
                b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' => {
                    name.push(*byte as char);
                }
                other => name.push_str(&format!("%{other:02x}")),
            }
        }
    }
    if name.len() > MAX_NAME {
        // FNV-1a, 64 bits: stable across versions, unlike the standard library's hasher.
        let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3);
        let sum = name.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
        name.truncate(MAX_NAME);
        name.push_str(&format!("+{sum:016x}"));
    }
    name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_directory_has_a_layer_name_of_its_own() {
        assert_eq!(layer_name(Path::new("/")), "root");
        assert_eq!(layer_name(Path::new("/var/lib")), "root+var+lib");
        assert_eq!(layer_name(Path::new("/var+lib")), "root+var%2blib");
        let long = "/x".repeat(300);
        assert!(layer_name(Path::new(&long)).len() < 255);
        assert_ne!(layer_name(Path::new(&long)), layer_name(Path::new(&format!("{long}/y"))));
    }
}
