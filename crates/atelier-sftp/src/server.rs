//! Which message does what, and the handles that are open.

use std::collections::HashMap;
use std::io;
use std::os::unix::ffi::OsStrExt;

use crate::attributes::{self, Wanted};
use crate::extensions;
use crate::files::{self, Opened};
use crate::listing::Listing;
use crate::wire::{Fields, LONGEST_DATA, Message, Short, Status, reply, request};

/// The version of the protocol.
const VERSION: u32 = 3;

/// One client's session.
#[derive(Default)]
pub(crate) struct Server {
    handles: HashMap<u32, Handle>,
    next: u32,
}

enum Handle {
    File(Opened),
    Folder(Box<Listing>),
}

/// Why a request is answered with a status.
#[derive(Debug)]
pub(crate) enum Failed {
    Io(io::Error),
    Short,
    End,
    BadHandle,
    Unsupported,
}

impl From<io::Error> for Failed {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Short> for Failed {
    fn from(_: Short) -> Self {
        Self::Short
    }
}

impl Failed {
    fn status(&self, id: u32) -> Message {
        let (status, text) = match self {
            Self::Io(error) => {
                let status = match error.kind() {
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Status::NoSuchFile,
                    io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                        Status::PermissionDenied
                    }
                    _ => Status::Failure,
                };
                return Message::status(id, status, &error.to_string());
            }
            Self::Short => (Status::BadMessage, "the message ends too early"),
            Self::End => (Status::Eof, "End of file"),
            Self::BadHandle => (Status::Failure, "no such handle"),
            Self::Unsupported => (Status::Unsupported, "not supported"),
        };
        Message::status(id, status, text)
    }
}

impl Server {
    /// The most handles that are open at once: below the usual limit of open files.
    pub(crate) const MOST_HANDLES: usize = 1000;

    /// The answer to a message, ready to be sent.
    ///
    /// # Errors
    /// When it is so broken that it can't be answered.
    pub(crate) fn answer(&mut self, message: &[u8]) -> io::Result<Vec<u8>> {
        let broken = || io::Error::new(io::ErrorKind::InvalidData, "a message without an id");
        let (kind, rest) = message.split_first().ok_or_else(broken)?;
        if *kind == request::INIT {
            let version = Message::new(reply::VERSION).u32(VERSION);
            let add = |message: Message, (name, version): &(&str, &str)| {
                message.bytes(name.as_bytes()).bytes(version.as_bytes())
            };
            return Ok(extensions::SERVED.iter().fold(version, add).finish());
        }
        let mut fields = Fields::of(rest);
        let id = fields.u32().map_err(|_| broken())?;
        if *kind == request::READDIR {
            let listed = self.read_folder(id, &mut fields);
            return Ok(listed.unwrap_or_else(|failed| failed.status(id).finish()));
        }
        let answer = self.serve(*kind, id, &mut fields);
        Ok(answer.unwrap_or_else(|failed| failed.status(id)).finish())
    }

    fn serve(&mut self, kind: u8, id: u32, fields: &mut Fields<'_>) -> Result<Message, Failed> {
        match kind {
            request::OPEN => return self.open(id, fields),
            request::OPENDIR => {
                let listing = Listing::open(&files::path(fields.bytes()?))?;
                return self.keep(id, Handle::Folder(Box::new(listing)));
            }
            request::CLOSE => {
                let handle = Self::handle(fields)?;
                self.handles.remove(&handle).ok_or(Failed::BadHandle)?;
            }
            request::READ => return self.read(id, fields),
            request::WRITE => {
                let handle = Self::handle(fields)?;
                let (offset, bytes) = (fields.u64()?, fields.bytes()?);
                self.opened(handle)?.write(offset, bytes)?;
            }
            request::FSTAT => {
                let found = self.file(fields)?.file.metadata()?;
                return Ok(attributes::write(Message::to(reply::ATTRS, id), &found));
            }
            request::FSETSTAT => {
                let handle = Self::handle(fields)?;
                let wanted = Wanted::read(fields)?;
                wanted.set_on(&self.opened(handle)?.file)?;
            }
            request::EXTENDED => {
                let name = fields.bytes()?;
                return extensions::answer(self, id, name, fields);
            }
            _ => return Self::at_path(kind, id, fields),
        }
        Ok(Self::done(id))
    }

    /// Requests that need no handle.
    fn at_path(kind: u8, id: u32, fields: &mut Fields<'_>) -> Result<Message, Failed> {
        let first = files::path(fields.bytes()?);
        match kind {
            request::STAT | request::LSTAT => {
                let look = if kind == request::STAT {
                    std::fs::metadata::<&std::path::Path>
                } else {
                    std::fs::symlink_metadata
                };
                return Ok(attributes::write(Message::to(reply::ATTRS, id), &look(&first)?));
            }
            request::SETSTAT => Wanted::read(fields)?.set_at(&first, false)?,
            request::REMOVE => files::remove(&first)?,
            request::MKDIR => files::make_folder(&first, &Wanted::read(fields)?)?,
            request::RMDIR => std::fs::remove_dir(&first)?,
            request::RENAME => files::rename(&first, &files::path(fields.bytes()?))?,
            // OpenSSH's order, which all follow: what the link leads to comes first.
            request::SYMLINK => std::os::unix::fs::symlink(&first, files::path(fields.bytes()?))?,
            request::READLINK => {
                let target = std::fs::read_link(&first)?;
                return Ok(Self::one_name(id, target.as_os_str().as_bytes()));
            }
            request::REALPATH => {
                let path = files::real_path(&first)?;
                return Ok(Self::one_name(id, path.as_os_str().as_bytes()));
            }
            _ => return Err(Failed::Unsupported),
        }
        Ok(Self::done(id))
    }

    fn open(&mut self, id: u32, fields: &mut Fields<'_>) -> Result<Message, Failed> {
        let (path, flags) = (files::path(fields.bytes()?), fields.u32()?);
        let opened = Opened::open(&path, flags, &Wanted::read(fields)?)?;
        self.keep(id, Handle::File(opened))
    }

    fn read(&mut self, id: u32, fields: &mut Fields<'_>) -> Result<Message, Failed> {
        let handle = Self::handle(fields)?;
        let (offset, length) = (fields.u64()?, fields.u32()? as usize);
        let mut buffer = vec![0; length.min(LONGEST_DATA)];
        let read = self.opened(handle)?.read(offset, &mut buffer)?;
        if read == 0 && length > 0 {
            return Err(Failed::End);
        }
        buffer.truncate(read);
        Ok(Message::to(reply::DATA, id).bytes(&buffer))
    }

    fn read_folder(&mut self, id: u32, fields: &mut Fields<'_>) -> Result<Vec<u8>, Failed> {
        match self.handles.get_mut(&Self::handle(fields)?) {
            Some(Handle::Folder(listing)) => listing.next(id)?.ok_or(Failed::End),
            _ => Err(Failed::BadHandle),
        }
    }

    fn keep(&mut self, id: u32, handle: Handle) -> Result<Message, Failed> {
        if self.handles.len() >= Self::MOST_HANDLES {
            return Err(Failed::Io(io::Error::other("too many files are open")));
        }
        while self.handles.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        let name = self.next;
        self.next = name.wrapping_add(1);
        self.handles.insert(name, handle);
        Ok(Message::to(reply::HANDLE, id).bytes(&name.to_be_bytes()))
    }

    fn handle(fields: &mut Fields<'_>) -> Result<u32, Failed> {
        let bytes = fields.bytes()?.try_into().map_err(|_| Failed::BadHandle)?;
        Ok(u32::from_be_bytes(bytes))
    }

    fn opened(&self, handle: u32) -> Result<&Opened, Failed> {
        match self.handles.get(&handle) {
            Some(Handle::File(opened)) => Ok(opened),
            _ => Err(Failed::BadHandle),
        }
    }

    /// The file of the handle that comes next.
    pub(crate) fn file(&self, fields: &mut Fields<'_>) -> Result<&Opened, Failed> {
        self.opened(Self::handle(fields)?)
    }

    pub(crate) fn done(id: u32) -> Message {
        Message::status(id, Status::Ok, "Success")
    }

    pub(crate) fn one_name(id: u32, name: &[u8]) -> Message {
        // No attributes: clients look at the name only.
        Message::to(reply::NAME, id).u32(1).bytes(name).bytes(name).u32(0)
    }
}
