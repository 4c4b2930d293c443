//! Which disk is which, and what filesystem is on it.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::named;
use super::settings::Settings;

/// Drivers find their devices while modules load, so this is only for slow machines.
const PATIENCE: Duration = Duration::from_secs(20);

/// The machine's disks.
#[derive(Debug)]
pub struct Disks {
    /// The image, which is never written to.
    pub base: PathBuf,
    /// What the machine changes. Without one, changes are kept in memory.
    pub layer: Option<PathBuf>,
}

/// Finds the disks by their serial numbers, `base` and `layer`, or by the names that we were told.
pub fn find(settings: &Settings) -> io::Result<Disks> {
    if let Some((base, layer)) = &settings.disks {
        let node = |name: &str| Path::new("/dev").join(name);
        wait(|| node(base).exists().then_some(()))?;
        let layer = (layer != "none").then(|| node(layer));
        return Ok(Disks { base: node(base), layer });
    }
    wait(|| {
        let base = with_serial("base")?;
        Some(Disks { base, layer: with_serial("layer") })
    })
}

fn wait<T>(mut look: impl FnMut() -> Option<T>) -> io::Result<T> {
    let until = Instant::now() + PATIENCE;
    loop {
        if let Some(found) = look() {
            return Ok(found);
        }
        if Instant::now() > until {
            return Err(io::Error::new(io::ErrorKind::NotFound, "there is no base disk"));
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn with_serial(serial: &str) -> Option<PathBuf> {
    let disks = std::fs::read_dir("/sys/block").ok()?.flatten();
    let found = disks.map(|disk| disk.file_name()).find(|name| {
        let file = Path::new("/sys/block").join(name).join("serial");
        std::fs::read_to_string(file).is_ok_and(|text| text.trim() == serial)
    })?;
    Some(Path::new("/dev").join(found))
}

/// The filesystem on a disk, by its superblock.
pub fn filesystem(disk: &Path) -> io::Result<&'static str> {
    let mut head = [0; 2048];
    File::open(disk)
        .and_then(|file| file.read_exact_at(&mut head, 0))
        .map_err(named(format!("reading {}", disk.display())))?;
    recognise(&head).ok_or_else(|| {
        let what = format!("{} has no filesystem that we know: erofs, ext4", disk.display());
        io::Error::new(io::ErrorKind::InvalidData, what)
    })
}

fn recognise(head: &[u8; 2048]) -> Option<&'static str> {
    match (&head[1024..1028], &head[1080..1082], &head[..4]) {
        (b"\xe2\xe1\xf5\xe0", _, _) => Some("erofs"),
        (_, b"\x53\xef", _) => Some("ext4"),
        (_, _, b"hsqs") => Some("squashfs"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_are_known_by_their_superblocks() {
        let mut head = [0; 2048];
        assert_eq!(recognise(&head), None);
        head[1080..1082].copy_from_slice(&[0x53, 0xef]);
        assert_eq!(recognise(&head), Some("ext4"));
        head[1024..1028].copy_from_slice(&0xe0f5_e1e2_u32.to_le_bytes());
        assert_eq!(recognise(&head), Some("erofs"));
    }
}
