//! Archives of images: what an archive is, and where in it everything lies, without unpacking it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::Path;
use std::sync::Arc;

use super::{Part, Parts};
use crate::store::Temp;
use crate::tar::{Kind, TarReader};
use crate::unpack::{Budget, Compression, LayerError, Metered};
use crate::{ImageError, Result};

/// An archive with more entries than this holds no images.
const ENTRIES: usize = 100_000;
/// How many links of an archive follow one another.
const LINKS: usize = 8;

/// What an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// Images, as `docker save` or an OCI layout have them.
    Image,
    /// A root filesystem.
    Root,
}

/// Looks at an archive until an entry tells what it holds; mostly the first does.
pub(super) fn look(path: &Path, budget: &Arc<Budget>) -> Result<What> {
    let refused = |error: LayerError| LayerError::of(path.display())(error);
    let file = File::open(path).map_err(ImageError::io("reading", path))?;
    let plain = Metered::decoder(file, budget).map_err(refused)?;
    let mut archive = TarReader::new(plain);
    let mut any = false;
    while let Some(entry) = archive.next().map_err(|e| refused(e.into()))? {
        any = true;
        match name(&entry.path).as_str() {
            "oci-layout" | "manifest.json" | "index.json" => return Ok(What::Image),
            // Tools choose the names of what lies at the top; folders tell.
            other if entry.kind == Kind::File && !other.contains('/') => {}
            other if !may_be_image(other) => return Ok(What::Root),
            _ => {}
        }
    }
    if any { Ok(What::Root) } else { Err(refused(LayerError::Invalid("it is empty".to_owned()))) }
}

/// Whether an archive of an image may have a folder of that name, or something in it.
fn may_be_image(name: &str) -> bool {
    let first = name.split('/').next().unwrap_or_default();
    let stem = first.split('.').next().unwrap_or_default();
    let is_digest = stem.len() == 64 && stem.bytes().all(|b| b.is_ascii_hexdigit());
    matches!(first, "" | "blobs" | "repositories") || is_digest
}

/// An archive of images whose entries are found by name.
pub(super) struct Archive {
    parts: HashMap<String, Entry>,
}

enum Entry {
    Here(Part),
    Link(String),
}

impl Archive {
    /// Reads where everything lies. A compressed archive is decompressed into `temp` first.
    pub(super) fn open(path: &Path, temp: &Temp, budget: &Arc<Budget>) -> Result<Self> {
        let refused = |error: LayerError| LayerError::of(path.display())(error);
        let plain = temp.path().join("plain.tar");
        let path = if decompress(path, &plain, budget)? { &plain } else { path };
        let file = File::open(path).map_err(ImageError::io("reading", path))?;
        let length = file.metadata().map_err(ImageError::io("reading", path))?.len();
        let mut archive = TarReader::new(BufReader::new(file));
        let mut parts = HashMap::new();
        while let Some(entry) = archive.next().map_err(|e| refused(e.into()))? {
            let place = name(&entry.path);
            let found = match entry.kind {
                Kind::File if entry.sparse.is_none() => {
                    let part = Part {
                        file: path.to_owned(),
                        offset: archive.position(),
                        size: archive.remaining(),
                    };
                    if part.offset.saturating_add(part.size) > length {
                        return Err(refused(LayerError::CutOff));
                    }
                    Some(Entry::Here(part))
                }
                // Old versions of Docker link layers that come twice.
                Kind::Symlink => Some(Entry::Link(linked(&place, &entry.link))),
                Kind::HardLink => Some(Entry::Link(name(&entry.link))),
                _ => None,
            };
            parts.extend(found.map(|found| (place, found)));
            if parts.len() > ENTRIES {
                return Err(refused(LayerError::TooLarge("too many entries".to_owned())));
            }
            archive.seek_over().map_err(|e| refused(e.into()))?;
        }
        Ok(Self { parts })
    }
}

impl Parts for Archive {
    fn part(&self, name: &str) -> Option<Part> {
        let mut name = name;
        for _ in 0..LINKS {
            match self.parts.get(name)? {
                Entry::Here(part) => return Some(part.clone()),
                Entry::Link(other) => name = other,
            }
        }
        None
    }
}

/// A name of the archive without `./`. Names are only looked up, never written to.
fn name(path: &[u8]) -> String {
    let path = String::from_utf8_lossy(path);
    path.split('/').filter(|part| !matches!(*part, "" | ".")).collect::<Vec<_>>().join("/")
}

/// Where a symlink of the archive leads, within the archive.
fn linked(from: &str, to: &[u8]) -> String {
    let mut parts: Vec<_> = from.split('/').collect();
    parts.pop();
    let to = String::from_utf8_lossy(to).into_owned();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Decompresses an archive; whether it was compressed.
fn decompress(path: &Path, plain: &Path, budget: &Arc<Budget>) -> Result<bool> {
    let fail = ImageError::io::<std::io::Error>;
    let mut file = File::open(path).map_err(fail("reading", path))?;
    let mut start = [0; 4];
    let n = file.read(&mut start).map_err(fail("reading", path))?;
    if Compression::of(&start[..n]) == Compression::None {
        return Ok(false);
    }
    let file = File::open(path).map_err(fail("reading", path))?;
    let refused = |error: LayerError| LayerError::of(path.display())(error);
    let mut source = Metered::decoder(file, budget).map_err(refused)?;
    let target = File::create_new(plain).map_err(fail("making", plain))?;
    let mut target = BufWriter::new(target);
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let n = source.read(&mut buffer).map_err(|e| refused(LayerError::from_io(e)))?;
        if n == 0 {
            target.flush().map_err(fail("writing", plain))?;
            return Ok(true);
        }
        target.write_all(&buffer[..n]).map_err(fail("writing", plain))?;
    }
}
