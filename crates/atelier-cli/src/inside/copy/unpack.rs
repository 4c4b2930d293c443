//! A tar stream from a sandbox becomes files of this machine. What the stream names is checked by
//! `beneath.rs`; what it says of itself is read with limits here.

use std::collections::HashMap;
use std::io::{self, Read};

use bytes::{Buf, Bytes};
use rustix::io::Errno;
use tar::{Archive, Entry, EntryType, PaxExtensions};
use tokio::sync::mpsc;

use super::BLOCK;
use super::beneath::{Kept, Root, keep};

/// The longest name or extended header that is believed.
const LONGEST: u64 = 1 << 20;

/// Bytes that come out of a channel.
pub(super) struct Pieces {
    pub receiver: mpsc::Receiver<Bytes>,
    pub now: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.receiver.blocking_recv() {
                Some(next) => self.now = next,
                None => return Ok(0),
            }
        }
        let length = self.now.len().min(into.len());
        self.now.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}

/// What was left out.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Devices, pipes and what else is no file, folder or link.
    pub special: u64,
}

/// What headers before an entry say of it, because its own has no room for it.
#[derive(Default)]
struct Ahead {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
}

/// Writes all that is in a tar stream below a folder.
pub(super) fn unpack(from: impl Read, root: &mut Root) -> io::Result<LeftOut> {
    let mut archive = Archive::new(from);
    let (mut left_out, mut ahead) = (LeftOut::default(), Ahead::default());
    // A folder's mode may forbid to write into it, and writing changes its time: both come last.
    let mut folders: HashMap<Vec<u8>, Kept> = HashMap::new();
    let mut any = false;
    // Raw: extended headers are read here, since those of a sandbox may be of any length.
    for entry in archive.entries()?.raw(true) {
        let mut entry = entry?;
        any = true;
        match entry.header().entry_type() {
            EntryType::GNULongName => ahead.name = Some(text(&mut entry)?),
            EntryType::GNULongLink => ahead.link = Some(text(&mut entry)?),
            EntryType::XHeader => extended(&mut entry, &mut ahead)?,
            EntryType::XGlobalHeader => {}
            kind => {
                let ahead = std::mem::take(&mut ahead);
                if ahead.size.is_some_and(|size| size != entry.size()) {
                    let why = "a file is larger than this tar's format can say";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                let name = ahead.name.unwrap_or_else(|| entry.path_bytes().into_owned());
                let kept = kept(&entry);
                let is_folder = kind == EntryType::Directory || name.ends_with(b"/");
                if is_folder {
                    root.folder(&name)?;
                    folders.insert(name, kept);
                } else if !one(&mut entry, kind, &name, ahead.link, kept, root)? {
                    left_out.special += 1;
                }
            }
        }
    }
    if !any {
        // Even of an empty folder there is the folder itself.
        let why = "the sandbox's tar said that it was done, and had sent nothing";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    for (name, kept) in folders {
        root.keep_folder(&name, kept)?;
    }
    Ok(left_out)
}

/// Writes one entry; whether it is something that can be written.
fn one<R: Read>(
    entry: &mut Entry<'_, R>,
    kind: EntryType,
    name: &[u8],
    link: Option<Vec<u8>>,
    kept: Kept,
    root: &mut Root,
) -> io::Result<bool> {
    let link = || link.or_else(|| entry.link_name_bytes().map(std::borrow::Cow::into_owned));
    match kind {
        EntryType::Regular | EntryType::Continuous => {
            let mut file = root.file(name)?;
            let mut block =
                vec![0; BLOCK.min(usize::try_from(entry.size()).unwrap_or(BLOCK)).max(1)];
            loop {
                match entry.read(&mut block)? {
                    0 => break,
                    length => io::Write::write_all(&mut file, &block[..length])?,
                }
            }
            keep(&file, kept)?;
        }
        EntryType::Symlink => {
            root.symlink(name, &link().unwrap_or_default())?;
            root.keep_symlink(name, kept)?;
        }
        EntryType::Link => {
            let old = link().unwrap_or_default();
            root.hard_link(name, &old).map_err(|error| {
                let unable =
                    matches!(Errno::from_io_error(&error), Some(Errno::PERM | Errno::XDEV));
                let shown = String::from_utf8_lossy(name).into_owned();
                if unable {
                    let why =
                        format!("{shown} is a second name of a file, which cannot be kept here");
                    return io::Error::new(error.kind(), why);
                }
                error
            })?;
        }
        _ => return Ok(false),
    }
    Ok(true)
}

fn kept<R: Read>(entry: &Entry<'_, R>) -> Kept {
    let header = entry.header();
    let modified = header.mtime().ok().and_then(|seconds| i64::try_from(seconds).ok());
    Kept { mode: header.mode().unwrap_or(0o644), modified }
}

fn whole<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<u8>> {
    if entry.size() > LONGEST {
        let why = "the sandbox sent a name that is longer than any can be";
        return Err(io::Error::new(io::ErrorKind::InvalidData, why));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn text<R: Read>(entry: &mut Entry<'_, R>) -> io::Result<Vec<u8>> {
    let mut bytes = whole(entry)?;
    bytes.truncate(bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len()));
    Ok(bytes)
}

fn extended<R: Read>(entry: &mut Entry<'_, R>, ahead: &mut Ahead) -> io::Result<()> {
    let bytes = whole(entry)?;
    for extension in PaxExtensions::new(&bytes) {
        let extension = extension?;
        let value = extension.value_bytes();
        match extension.key_bytes() {
            b"path" => ahead.name = Some(value.to_vec()),
            b"linkpath" => ahead.link = Some(value.to_vec()),
            b"size" => ahead.size = extension.value().ok().and_then(|text| text.parse().ok()),
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::path::Path;

    use tar::{Builder, Header};

    use super::*;

    /// An entry as no honest tar would write it.
    fn add(tar: &mut Builder<Vec<u8>>, kind: EntryType, name: &[u8], link: &[u8], data: &[u8]) {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(data.len() as u64);
        let fields = header.as_old_mut();
        fields.name[..name.len()].copy_from_slice(name);
        fields.linkname[..link.len()].copy_from_slice(link);
        header.set_cksum();
        tar.append(&header, data).unwrap();
    }

    fn open(into: &Path, tar: Builder<Vec<u8>>) -> io::Result<LeftOut> {
        unpack(&tar.into_inner().unwrap()[..], &mut Root::open(into).unwrap())
    }

    #[test]
    fn files_folders_and_links_arrive_as_they_were() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        let deep = "d".repeat(120);
        fs::create_dir_all(from.join(&deep)).unwrap();
        fs::write(from.join(&deep).join("f"), "text").unwrap();
        fs::set_permissions(from.join(&deep).join("f"), PermissionsExt::from_mode(0o750)).unwrap();
        std::os::unix::fs::symlink("x".repeat(150), from.join("link")).unwrap();
        fs::set_permissions(from.join(&deep), PermissionsExt::from_mode(0o500)).unwrap();
        let mut tar = Builder::new(Vec::new());
        tar.follow_symlinks(false);
        tar.append_dir_all(".", &from).unwrap();
        assert_eq!(open(&to, tar).unwrap(), LeftOut::default());
        let found = fs::metadata(to.join(&deep).join("f")).unwrap();
        assert_eq!((found.mode() & 0o777, found.len()), (0o750, 4));
        assert_eq!(fs::metadata(to.join(&deep)).unwrap().mode() & 0o777, 0o500);
        assert_eq!(fs::read_link(to.join("link")).unwrap().as_os_str().len(), 150);
    }

    #[test]
    fn nothing_is_written_outside() {
        for name in [&b"../out"[..], b"/tmp/out", b"a/../../out", b".."] {
            for kind in
                [EntryType::Regular, EntryType::Directory, EntryType::Symlink, EntryType::Link]
            {
                let dir = tempfile::tempdir().unwrap();
                let mut tar = Builder::new(Vec::new());
                add(&mut tar, EntryType::Regular, b"own", b"", b"x");
                add(&mut tar, kind, name, b"own", b"");
                let error = open(&dir.path().join("to"), tar).unwrap_err();
                assert!(error.to_string().contains("leads out"), "{kind:?}: {error}");
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
            }
        }
    }

    #[test]
    fn a_link_that_leads_out_opens_no_way_out() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("f"), "mine").unwrap();
        let target = outside.to_str().unwrap().as_bytes();
        let mut tar = Builder::new(Vec::new());
        add(&mut tar, EntryType::Symlink, b"d", target, b"");
        add(&mut tar, EntryType::Regular, b"d/f", b"", b"theirs");
        assert!(open(&dir.path().join("to"), tar).is_err());
        // A hard link to what lies outside, and a file in its place.
        let mut tar = Builder::new(Vec::new());
        add(&mut tar, EntryType::Link, b"h", b"../outside/f", b"");
        assert!(open(&dir.path().join("to"), tar).is_err());
        assert_eq!(fs::read_to_string(outside.join("f")).unwrap(), "mine");
    }

    #[test]
    fn devices_are_left_out_and_counted() {
        let dir = tempfile::tempdir().unwrap();
        let mut tar = Builder::new(Vec::new());
        for (kind, name) in
            [(EntryType::Char, b"c"), (EntryType::Block, b"b"), (EntryType::Fifo, b"p")]
        {
            add(&mut tar, kind, name, b"", b"");
        }
        assert_eq!(open(dir.path(), tar).unwrap().special, 3);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_name_of_a_gigabyte_is_not_waited_for() {
        let mut header = Header::new_gnu();
        header.set_entry_type(EntryType::GNULongName);
        header.set_size(1 << 30);
        header.set_cksum();
        let dir = tempfile::tempdir().unwrap();
        let endless = Read::chain(&header.as_bytes()[..], io::repeat(b'x'));
        let error = unpack(endless, &mut Root::open(dir.path()).unwrap()).unwrap_err();
        assert!(error.to_string().contains("longer than any"), "{error}");
    }
}
