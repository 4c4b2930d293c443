//! Calls about files.

use std::fmt::Write as _;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body as _, Incoming};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

use super::connection::{Blocks, Body, body, collect, http_failure, succeed};
use super::{Guest, GuestError};
use crate::wire::{
    Empty, EntryInfo, EntryResponse, InitRequest, ListDirRequest, ListDirResponse, Metrics,
    MoveRequest, PathRequest, WrittenFile,
};

/// Bytes that are read and sent at once.
const BLOCK: usize = 256 << 10;

impl Guest {
    /// What is at a path.
    ///
    /// # Errors
    /// `guest.not_found` when nothing is.
    pub async fn stat(&self, path: &str) -> Result<EntryInfo, GuestError> {
        self.entry("Stat", path).await
    }

    /// Makes a folder with those above it.
    ///
    /// # Errors
    /// `guest.already_exists` when it is there.
    pub async fn make_dir(&self, path: &str) -> Result<EntryInfo, GuestError> {
        self.entry("MakeDir", path).await
    }

    /// What is in a folder, `depth` levels down.
    ///
    /// # Errors
    /// When there is no such folder.
    pub async fn list_dir(&self, path: &str, depth: u32) -> Result<Vec<EntryInfo>, GuestError> {
        let request = ListDirRequest { path: path.to_owned(), depth };
        let list: ListDirResponse = self.unary("/filesystem.Filesystem/ListDir", &request).await?;
        Ok(list.entries)
    }

    /// Renames.
    ///
    /// # Errors
    /// `guest.not_found` when there is nothing to rename.
    pub async fn rename(&self, from: &str, to: &str) -> Result<EntryInfo, GuestError> {
        let request = MoveRequest { source: from.to_owned(), destination: to.to_owned() };
        let response: EntryResponse = self.unary("/filesystem.Filesystem/Move", &request).await?;
        Ok(response.entry)
    }

    /// Removes whatever is at a path; that nothing is there is fine.
    ///
    /// # Errors
    /// When it is there and stays.
    pub async fn remove(&self, path: &str) -> Result<(), GuestError> {
        let request = PathRequest { path: path.to_owned() };
        self.unary("/filesystem.Filesystem/Remove", &request).await.map(|Empty {}| ())
    }

    async fn entry(&self, method: &str, path: &str) -> Result<EntryInfo, GuestError> {
        let request = PathRequest { path: path.to_owned() };
        let path = format!("/filesystem.Filesystem/{method}");
        let response: EntryResponse = self.unary(&path, &request).await?;
        Ok(response.entry)
    }

    /// A whole file. For one that may be big, [`Guest::read_to`].
    ///
    /// # Errors
    /// `guest.not_found` when there is none.
    pub async fn read(&self, path: &str) -> Result<Bytes, GuestError> {
        let request = self
            .request("GET", &self.file_path(path))
            .body(body(""))
            .map_err(GuestError::broken)?;
        succeed(self.send(request).await?).await
    }

    /// Opens a file to be read piece by piece.
    ///
    /// # Errors
    /// As [`Guest::read`].
    pub async fn open_file(&self, path: &str) -> Result<FileStream, GuestError> {
        self.open_body(&self.file_path(path)).await
    }

    async fn open_body(&self, path: &str) -> Result<FileStream, GuestError> {
        let request = self.request("GET", path).body(body("")).map_err(GuestError::broken)?;
        let response = self.send(request).await?;
        let status = response.status();
        if !status.is_success() {
            return Err(http_failure(status, &collect(response).await?));
        }
        let body = response.into_body();
        Ok(FileStream { size: body.size_hint().exact(), body })
    }

    /// Copies a file out; the number of its bytes.
    ///
    /// # Errors
    /// As [`Guest::read`], and when `into` cannot be written.
    pub async fn read_to(
        &self,
        path: &str,
        into: &mut (impl AsyncWrite + Unpin),
    ) -> Result<u64, GuestError> {
        let (mut file, mut total) = (self.open_file(path).await?, 0);
        while let Some(piece) = file.next().await {
            let piece = piece?;
            into.write_all(&piece).await.map_err(|source| GuestError::Local {
                what: format!("what {path} holds cannot be written"),
                source,
            })?;
            total += piece.len() as u64;
        }
        Ok(total)
    }

    /// Makes these the bytes of a file, with the folders above it.
    ///
    /// # Errors
    /// `guest.disk_full`, or when it cannot be written.
    pub async fn write(
        &self,
        path: &str,
        bytes: impl Into<Bytes>,
    ) -> Result<WrittenFile, GuestError> {
        self.upload(path, body(bytes)).await
    }

    /// Copies a file in, whatever its size.
    ///
    /// # Errors
    /// As [`Guest::write`], and when `from` cannot be read.
    pub async fn write_from(
        &self,
        path: &str,
        mut from: impl AsyncRead + Send + Unpin + 'static,
    ) -> Result<WrittenFile, GuestError> {
        let (sender, receiver) = mpsc::channel(2);
        tokio::spawn(async move {
            loop {
                let mut block = Vec::with_capacity(BLOCK);
                let next = match (&mut from).take(BLOCK as u64).read_to_end(&mut block).await {
                    Ok(0) => return,
                    Ok(_) => Ok(Bytes::from(block)),
                    Err(error) => Err(error),
                };
                let failed = next.is_err();
                if sender.send(next).await.is_err() || failed {
                    return;
                }
            }
        });
        self.write_pieces(path, receiver).await
    }

    /// Copies a file in, as its bytes come out of `pieces`.
    ///
    /// # Errors
    /// As [`Guest::write`], and when a piece is an error.
    pub async fn write_pieces(
        &self,
        path: &str,
        pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    ) -> Result<WrittenFile, GuestError> {
        self.upload(path, Blocks::new(pieces).boxed()).await
    }

    async fn upload(&self, path: &str, body: Body) -> Result<WrittenFile, GuestError> {
        let request = self
            .request("POST", &self.file_path(path))
            .header("content-type", "application/octet-stream")
            .body(body)
            .map_err(GuestError::broken)?;
        let bytes = succeed(self.send(request).await?).await?;
        let written: Vec<WrittenFile> = serde_json::from_slice(&bytes)
            .map_err(|error| GuestError::Unexpected(format!("{path}: {error}")))?;
        let none = || GuestError::Unexpected(format!("{path}: no file was written"));
        written.into_iter().next().ok_or_else(none)
    }

    fn file_path(&self, path: &str) -> String {
        let mut url = format!("/files?path={}", escape(path));
        if let Some(user) = &self.user {
            // Files know the user by the query only, as signed addresses do.
            let _ = write!(url, "&username={}", escape(user));
        }
        url
    }

    /// Changes the guest's settings.
    ///
    /// # Errors
    /// `guest.not_permitted` when the token is another.
    pub async fn init(&self, settings: &InitRequest) -> Result<(), GuestError> {
        let json = serde_json::to_vec(settings).map_err(GuestError::broken)?;
        let request = self
            .request("POST", "/init")
            .header("content-type", "application/json")
            .body(body(json))
            .map_err(GuestError::broken)?;
        succeed(self.send(request).await?).await.map(drop)
    }

    /// Ends the guest and, when it is the init of a machine, turns that off.
    ///
    /// # Errors
    /// When the guest cannot be reached, or is no machine's init.
    pub async fn shutdown(&self) -> Result<(), GuestError> {
        let request =
            self.request("POST", "/shutdown").body(body("")).map_err(GuestError::broken)?;
        succeed(self.send(request).await?).await.map(drop)
    }

    /// Has a machine's kernel write to its disks what it still holds in memory.
    ///
    /// # Errors
    /// When the guest cannot be reached, or is no machine's init.
    pub async fn sync(&self) -> Result<(), GuestError> {
        let request = self.request("POST", "/sync").body(body("")).map_err(GuestError::broken)?;
        succeed(self.send(request).await?).await.map(drop)
    }

    /// What a machine changed over its image, as a layer's archive. Its processes hold still until it
    /// is read, or dropped. A guest says there what it likes: it is a stranger's archive.
    ///
    /// # Errors
    /// When the guest cannot be reached, or is no machine's.
    pub async fn layer(&self) -> Result<FileStream, GuestError> {
        self.open_body("/layer").await
    }

    /// What the sandbox uses.
    ///
    /// # Errors
    /// When the guest cannot be reached.
    pub async fn metrics(&self) -> Result<Metrics, GuestError> {
        self.get("/metrics").await
    }
}

/// A file that is read piece by piece.
#[derive(Debug)]
pub struct FileStream {
    body: Incoming,
    size: Option<u64>,
}

impl FileStream {
    /// How many bytes it has, if that can be told.
    #[must_use]
    pub const fn size(&self) -> Option<u64> {
        self.size
    }

    /// The next piece; none after the last, or after an error.
    pub async fn next(&mut self) -> Option<Result<Bytes, GuestError>> {
        while let Some(frame) = self.body.frame().await {
            match frame.map(hyper::body::Frame::into_data) {
                Ok(Ok(data)) => return Some(Ok(data)),
                Ok(Err(_)) => {}
                Err(error) => return Some(Err(GuestError::broken(error))),
            }
        }
        None
    }
}

/// Percent-encodes all but letters, digits and what a query may hold as it is.
fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
