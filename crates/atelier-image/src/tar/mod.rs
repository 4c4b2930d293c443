//! Reading tar archives: ustar, GNU (long names, sparse files) and PAX (long names, attributes,
//! sparse files). Our own, because the content is hostile: everything that is kept in memory has a
//! limit, and how fields combine follows Go's reader, which wrote most layers there are.
//!
//! Nothing is written to a disk here.

mod header;
mod pax;
mod reader;
mod sparse;

pub(crate) use reader::TarReader;

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    File,
    HardLink,
    Symlink,
    Char,
    Block,
    Dir,
    Fifo,
}

/// One entry of an archive. Its data is read from the reader next.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    /// As it is in the archive: may be absolute, may hold `..`.
    pub path: Vec<u8>,
    pub kind: Kind,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// The size of the file once it is written.
    pub size: u64,
    /// What a link points to.
    pub link: Vec<u8>,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Where the data goes, when it doesn't fill the file: offsets and lengths.
    pub sparse: Option<Vec<(u64, u64)>>,
}

/// Why an archive could not be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TarError {
    #[error("the archive is not valid: {0}")]
    Invalid(&'static str),
    #[error("the archive ends in the middle")]
    CutOff,
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
