//! Entry by entry through an archive.

use std::io::{self, Read};

use super::header::{BLOCK, Header};
use super::pax::Pax;
use super::sparse::Map;
use super::{Entry, Kind, TarError};

type Result<T> = std::result::Result<T, TarError>;

/// What is read before an entry (long names, PAX records) is at most this long, as in Go.
const SPECIAL: u64 = 1 << 20;

/// Reads an archive. Between two entries, the data of the first is read from it.
pub(crate) struct TarReader<R> {
    inner: R,
    /// Bytes taken from the archive so far.
    position: u64,
    /// Data of the current entry that was not read yet.
    remaining: u64,
    /// Zeros behind the data.
    padding: u64,
}

/// What came before an entry, for it.
#[derive(Default)]
struct Before {
    pax: Pax,
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
}

impl<R: Read> TarReader<R> {
    pub(crate) fn new(inner: R) -> Self {
        Self { inner, position: 0, remaining: 0, padding: 0 }
    }

    pub(crate) fn into_inner(self) -> R {
        self.inner
    }

    /// Where in the archive the data of the current entry goes on.
    pub(crate) fn position(&self) -> u64 {
        self.position
    }

    /// How much data of the current entry is left.
    pub(crate) fn remaining(&self) -> u64 {
        self.remaining
    }

    /// The next entry, `None` behind the last.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut before = Before::default();
        let mut pending = false;
        loop {
            self.skip(self.remaining + self.padding)?;
            let Some(block) = self.block()? else {
                return if pending { Err(TarError::CutOff) } else { Ok(None) };
            };
            let header = Header::new(&block)?;
            match header.flag() {
                b'x' | b'X' => before.pax.read(&self.special(&header)?)?,
                // What a global header says is about the archive, not about files.
                b'g' => drop(self.special(&header)?),
                b'L' => before.path = Some(name(self.special(&header)?)?),
                b'K' => before.link = Some(name(self.special(&header)?)?),
                _ => return self.entry(&header, before).map(Some),
            }
            pending = header.flag() != b'g';
        }
    }

    fn entry(&mut self, header: &Header<'_>, before: Before) -> Result<Entry> {
        let Before { pax, path, link } = before;
        let path = pax.sparse.name.clone().or(pax.path).or(path).unwrap_or_else(|| header.path());
        let kind = kind(header.flag(), &path)?;
        let data = pax.size.map_or_else(|| header.size(), Ok)?;
        // What has no data has none, whatever its size field says: so do all other readers.
        self.set_data(if kind == Kind::File { data } else { 0 })?;
        let mut entry = Entry {
            path,
            kind,
            mode: header.mode()?,
            uid: pax.uid.map_or_else(|| header.uid(), Ok)?,
            gid: pax.gid.map_or_else(|| header.gid(), Ok)?,
            mtime: pax.mtime.map_or_else(|| header.mtime().map(|s| (s, 0)), Ok)?,
            size: self.remaining,
            link: pax.link.or(link).unwrap_or_else(|| header.link()),
            xattrs: pax.xattrs,
            sparse: None,
        };
        if kind == Kind::File {
            if header.flag() == b'S' {
                self.old_sparse(header, &mut entry)?;
            } else if pax.sparse.map_in_data {
                let (map, _) = Map::from_data(self)?;
                sparse(&mut entry, map, pax.sparse.size, self.remaining)?;
            } else if let Some(numbers) = pax.sparse.map {
                sparse(&mut entry, Map::new(numbers), pax.sparse.size, self.remaining)?;
            }
        }
        Ok(entry)
    }

    fn old_sparse(&mut self, header: &Header<'_>, entry: &mut Entry) -> Result<()> {
        let (field, mut more, size) = header.gnu_sparse()?;
        let mut map = Map::default();
        map.add_old(field)?;
        while more {
            let mut block = [0; BLOCK];
            self.exact(&mut block)?;
            map.add_old(&block[..504])?;
            more = block[504] != 0;
        }
        sparse(entry, map, Some(size), self.remaining)
    }

    fn set_data(&mut self, size: u64) -> Result<()> {
        if size > i64::MAX as u64 - BLOCK as u64 {
            return Err(TarError::Invalid("an entry is larger than any file"));
        }
        self.remaining = size;
        self.padding = size.next_multiple_of(BLOCK as u64) - size;
        Ok(())
    }

    /// The data of an entry that is about the next one.
    fn special(&mut self, header: &Header<'_>) -> Result<Vec<u8>> {
        let size = header.size()?;
        if size > SPECIAL {
            return Err(TarError::Invalid("a name or a PAX header is longer than 1 MiB"));
        }
        self.set_data(size)?;
        let mut data = Vec::new();
        Read::by_ref(self).take(size).read_to_end(&mut data).map_err(cut_off)?;
        Ok(data)
    }

    /// The next header; `None` at the zeros or at the end of the archive.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.inner.read(&mut block[filled..])? {
                0 if filled == 0 => return Ok(None),
                0 => return Err(TarError::CutOff),
                n => filled += n,
            }
        }
        self.position += BLOCK as u64;
        Ok((block != [0; BLOCK]).then_some(block))
    }

    fn exact(&mut self, buffer: &mut [u8]) -> Result<()> {
        self.inner.read_exact(buffer).map_err(cut_off)?;
        self.position += buffer.len() as u64;
        Ok(())
    }

    fn skip(&mut self, mut bytes: u64) -> Result<()> {
        let mut buffer = [0; 32 * 1024];
        while bytes > 0 {
            let part = usize::try_from(bytes).unwrap_or(usize::MAX).min(buffer.len());
            self.exact(&mut buffer[..part])?;
            bytes -= part as u64;
        }
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }
}

/// The data of the current entry.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let n = self.inner.read(&mut buffer[..most])?;
        if n == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.position += n as u64;
        self.remaining -= n as u64;
        Ok(n)
    }
}

impl<R: Read + io::Seek> TarReader<R> {
    /// Leaves the data of the current entry aside without reading it.
    pub(crate) fn seek_over(&mut self) -> Result<()> {
        let bytes = self.remaining + self.padding;
        self.inner.seek_relative(bytes.cast_signed())?;
        self.position += bytes;
        (self.remaining, self.padding) = (0, 0);
        Ok(())
    }
}

fn cut_off(error: io::Error) -> TarError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => TarError::CutOff,
        _ => TarError::Io(error),
    }
}

fn sparse(entry: &mut Entry, map: Map, size: Option<u64>, data: u64) -> Result<()> {
    let size = size.ok_or(TarError::Invalid("a sparse file has no size"))?;
    entry.sparse = Some(map.pieces(size, data)?);
    entry.size = size;
    Ok(())
}

/// A long name in GNU's format ends with a NUL.
fn name(mut data: Vec<u8>) -> Result<Vec<u8>> {
    if let Some(end) = data.iter().position(|b| *b == 0) {
        data.truncate(end);
    }
    if data.is_empty() { Err(TarError::Invalid("a long name is empty")) } else { Ok(data) }
}

fn kind(flag: u8, path: &[u8]) -> Result<Kind> {
    Ok(match flag {
        // Before ustar, a folder was a file whose name ended so.
        b'0' | 0 | b'7' | b'S' if flag != b'S' && path.ends_with(b"/") => Kind::Dir,
        b'0' | 0 | b'7' | b'S' => Kind::File,
        b'1' => Kind::HardLink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char,
        b'4' => Kind::Block,
        b'5' => Kind::Dir,
        b'6' => Kind::Fifo,
        _ => return Err(TarError::Invalid("an entry is of an unknown type")),
    })
}
