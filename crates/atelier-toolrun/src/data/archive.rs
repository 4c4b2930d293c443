//! A backup as a file: tar in zstd in age, with the hash of everything that is in it at its end. Written and
//! read as a stream.

use std::collections::BTreeMap;
use std::fs::{self, File, Permissions};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::error::{Error, Result};
use crate::OfFile as _;
use crate::secrets::{Closed, Keys, Recipients};

/// The format, as it stands in a backup.
pub(crate) const FORMAT: &str = "atelier-backup/1";
const HEAD: &str = "backup.json";
const MANIFEST: &str = "manifest.json";
/// More than any head or manifest has.
const LARGEST: u64 = 1 << 30;

/// What a backup says of itself, at its beginning.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Head {
    pub format: String,
    pub slug: String,
    pub created: Timestamp,
    /// What is in `data/0`, `data/1` and so on; nothing where there was nothing to save.
    pub items: Vec<Option<String>>,
}

/// An entry: its kind and hash. A folder has none, of a link it is that of its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Listed {
    size: u64,
    sha256: String,
}

type Manifest = BTreeMap<String, Listed>;

/// A backup that is being written.
pub(crate) struct Writer {
    tar: tar::Builder<zstd::Encoder<'static, age::stream::StreamWriter<BufWriter<File>>>>,
    manifest: Manifest,
    path: PathBuf,
    /// What could not be saved because it is no data: sockets and pipes.
    pub skipped: Vec<PathBuf>,
}

impl Writer {
    pub(crate) fn create(path: &Path, to: &Recipients, head: &Head) -> Result<Self> {
        let begin = || -> io::Result<Self> {
            let file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
            let sealed = to.writer(BufWriter::new(file))?;
            let tar = tar::Builder::new(zstd::Encoder::new(sealed, 3)?);
            let (manifest, skipped) = (Manifest::new(), Vec::new());
            let mut writer = Self { tar, manifest, path: path.to_owned(), skipped };
            writer.bytes(HEAD, &serde_json::to_vec_pretty(head)?)?;
            Ok(writer)
        };
        begin().map_err(Error::file("written", path))
    }

    fn bytes(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o600);
        header.set_cksum();
        self.tar.append_data(&mut header, name, bytes)
    }

    /// A file or a folder with everything in it, as `data/NUMBER`.
    pub(crate) fn tree(&mut self, number: usize, from: &Path) -> Result<()> {
        let name = PathBuf::from(format!("data/{number}"));
        let mut left = vec![(from.to_owned(), name)];
        while let Some((path, name)) = left.pop() {
            let more = self.one(&path, &name).map_err(Error::file("saved", &path))?;
            left.extend(more.into_iter().rev());
        }
        Ok(())
    }

    /// One entry; of a folder what is in it.
    fn one(&mut self, path: &Path, name: &Path) -> io::Result<Vec<(PathBuf, PathBuf)>> {
        let about = fs::symlink_metadata(path)?;
        let mut header = tar::Header::new_gnu();
        header.set_metadata(&about);
        let kind = about.file_type();
        if kind.is_dir() {
            header.set_size(0);
            self.tar.append_data(&mut header, name, io::empty())?;
            self.list(name, 0, &Sha256::digest(b""))?;
            let mut inside = fs::read_dir(path)?.collect::<io::Result<Vec<_>>>()?;
            inside.sort_by_key(fs::DirEntry::file_name);
            let each = inside.iter().map(|one| (one.path(), name.join(one.file_name())));
            return Ok(each.collect());
        }
        if kind.is_symlink() {
            let target = fs::read_link(path)?;
            header.set_size(0);
            self.tar.append_link(&mut header, name, &target)?;
            self.list(name, 0, &Sha256::digest(target.as_os_str().as_bytes()))?;
        } else if kind.is_socket()
            || kind.is_fifo()
            || kind.is_block_device()
            || kind.is_char_device()
        {
            self.skipped.push(path.to_owned());
        } else {
            // Not blocked by what was put in its place since.
            let file = File::options().read(true).custom_flags(0o4000).open(path)?;
            let size = file.metadata()?.len();
            header.set_size(size);
            let mut hashing = Hashing::new(BufReader::new(file.take(size)));
            self.tar.append_data(&mut header, name, &mut hashing)?;
            if hashing.length != size {
                return Err(io::Error::other("it became shorter as it was read"));
            }
            self.list(name, size, &hashing.hash.finalize())?;
        }
        Ok(Vec::new())
    }

    fn list(&mut self, name: &Path, size: u64, hash: &[u8]) -> io::Result<()> {
        let name = name.to_str().ok_or_else(|| io::Error::other("its name is no UTF-8"))?;
        self.manifest.insert(name.to_owned(), Listed { size, sha256: hex(hash) });
        Ok(())
    }

    /// Ends the file; what it holds is on the disk then.
    pub(crate) fn finish(mut self) -> Result<()> {
        let path = self.path.clone();
        let end = || -> io::Result<()> {
            let manifest = serde_json::to_vec(&self.manifest)?;
            self.bytes(MANIFEST, &manifest)?;
            let sealed = self.tar.into_inner()?.finish()?;
            let file = sealed.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
            file.sync_all()
        };
        end().map_err(Error::file("written", path))
    }
}

/// What a backup holds, after all of it was read and compared with its hashes.
#[derive(Debug)]
pub(crate) struct Whole {
    pub head: Head,
    pub entries: usize,
    pub bytes: u64,
}

/// Reads all of a backup, and lays it down below `into` when that is given.
pub(crate) fn read(path: &Path, keys: &Keys, into: Option<&Path>) -> Result<Whole> {
    let file = File::open(path).map_err(Error::file("read", path))?;
    let damaged = |why: String| Error::Damaged { path: path.to_owned(), why };
    let sealed = keys.reader(BufReader::new(file)).map_err(|closed| match closed {
        Closed::ForOthers => Error::Sealed { path: path.to_owned() },
        Closed::Damaged(why) => damaged(why),
    })?;
    let plain = zstd::Decoder::new(sealed).map_err(|error| damaged(error.to_string()))?;
    let mut tar = tar::Archive::new(plain);
    let mut reading =
        Reading { into, seen: Manifest::new(), head: None, manifest: None, folders: Vec::new() };
    let entries = tar.entries().map_err(|error| damaged(error.to_string()))?;
    for entry in entries {
        let mut entry = entry.map_err(|error| damaged(error.to_string()))?;
        reading.entry(&mut entry).map_err(|error| match error.raw_os_error() {
            Some(_) => Error::file("laid down", into.unwrap_or(path))(error),
            None => damaged(error.to_string()),
        })?;
    }
    let (Some(head), Some(manifest)) = (reading.head, reading.manifest) else {
        return Err(damaged("its end is missing".to_owned()));
    };
    if head.format != FORMAT {
        return Err(damaged(format!("its format is {:?}", head.format)));
    }
    if let Some((name, _)) =
        manifest.iter().find(|(name, listed)| reading.seen.get(*name) != Some(listed))
    {
        return Err(damaged(format!("{name} is not what was saved")));
    }
    if reading.seen.len() != manifest.len() {
        return Err(damaged("it has more than was saved".to_owned()));
    }
    // A folder that nobody may write to is made so when everything is in it.
    for (folder, mode) in reading.folders.into_iter().rev() {
        let set = fs::set_permissions(&folder, Permissions::from_mode(mode));
        set.map_err(Error::file("laid down", &folder))?;
    }
    let bytes = manifest.values().map(|listed| listed.size).sum();
    Ok(Whole { head, entries: manifest.len(), bytes })
}

struct Reading<'a> {
    into: Option<&'a Path>,
    seen: Manifest,
    head: Option<Head>,
    manifest: Option<Manifest>,
    folders: Vec<(PathBuf, u32)>,
}

impl Reading<'_> {
    fn entry<R: Read>(&mut self, entry: &mut tar::Entry<'_, R>) -> io::Result<()> {
        let path = entry.path()?.into_owned();
        let name = path.to_str().ok_or_else(|| io::Error::other("a name is no UTF-8"))?;
        let name = name.trim_end_matches('/').to_owned();
        match name.as_str() {
            HEAD => {
                self.head = Some(serde_json::from_reader(entry.take(LARGEST))?);
                return Ok(());
            }
            MANIFEST => {
                self.manifest = Some(serde_json::from_reader(entry.take(LARGEST))?);
                return Ok(());
            }
            _ => {}
        }
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        if !inside || !name.starts_with("data/") {
            return Err(io::Error::other(format!("{name:?} leads out of it")));
        }
        let listed = match self.into.map(|root| root.join(&path)) {
            Some(target) => self.lay_down(entry, &target)?,
            None => hash_of(entry, &mut io::sink())?,
        };
        match self.seen.insert(name.clone(), listed) {
            Some(_) => Err(io::Error::other(format!("{name} is in it twice"))),
            None => Ok(()),
        }
    }

    fn lay_down<R: Read>(
        &mut self,
        entry: &mut tar::Entry<'_, R>,
        target: &Path,
    ) -> io::Result<Listed> {
        let root = self.into.unwrap_or(target);
        // What is laid down never follows a link that was laid down before.
        let through = |above: &Path| above.starts_with(root) && above.is_symlink();
        if target.ancestors().skip(1).any(through) {
            return Err(io::Error::other("an entry lies behind a link"));
        }
        if let Some(above) = target.parent() {
            fs::create_dir_all(above)?;
        }
        let header = entry.header().clone();
        let mode = header.mode()? & 0o7777;
        let listed = match header.entry_type() {
            tar::EntryType::Directory => {
                fs::create_dir_all(target)?;
                self.folders.push((target.to_owned(), mode));
                hash_of(entry, &mut io::sink())?
            }
            tar::EntryType::Symlink => {
                let to = entry.link_name()?.ok_or_else(|| io::Error::other("a link to nothing"))?;
                symlink(&to, target)?;
                hash_of(entry, &mut io::sink())?
            }
            tar::EntryType::Regular => {
                let file = File::options().write(true).create_new(true).mode(0o600).open(target)?;
                let mut out = BufWriter::new(&file);
                let listed = hash_of(entry, &mut out)?;
                out.flush()?;
                drop(out);
                file.set_permissions(Permissions::from_mode(mode))?;
                let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(header.mtime()?);
                file.set_modified(time)?;
                file.sync_all()?;
                listed
            }
            kind => return Err(io::Error::other(format!("an entry of the kind {kind:?}"))),
        };
        if fs::metadata("/proc/self")?.uid() == 0 {
            let id = |id: u64| u32::try_from(id).ok();
            std::os::unix::fs::lchown(target, id(header.uid()?), id(header.gid()?))?;
        }
        Ok(listed)
    }
}

/// Copies an entry and tells its hash; of a link that of its target.
fn hash_of<R: Read>(entry: &mut tar::Entry<'_, R>, out: &mut dyn Write) -> io::Result<Listed> {
    if let (tar::EntryType::Symlink, Some(to)) = (entry.header().entry_type(), entry.link_name()?) {
        let sha256 = hex(&Sha256::digest(to.as_os_str().as_bytes()));
        return Ok(Listed { size: 0, sha256 });
    }
    let mut hashing = Hashing::new(entry);
    let size = io::copy(&mut hashing, out)?;
    Ok(Listed { size, sha256: hex(&hashing.hash.finalize()) })
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hash: Sha256,
    length: u64,
}

impl<R> Hashing<R> {
    fn new(inner: R) -> Self {
        Self { inner, hash: Sha256::new(), length: 0 }
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.hash.update(&buffer[..length]);
        self.length += length as u64;
        Ok(length)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
