//! Where uploaded bytes go: into one file, or into the files of a form.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::PathBuf;

use hyper::StatusCode;

use super::super::paths::{ensure_folders, give};
use super::super::state::Server;
use super::super::users::User;
use super::multipart::{Parser, Parts};
use super::{Refusal, absolute, metadata, storage_failure};
use crate::wire::WrittenFile;

/// The files of one upload.
pub(super) struct Files<'a> {
    pub(super) server: &'a Server,
    pub(super) user: User,
    /// The path that the query names; without it, each part's file name is one.
    pub(super) path: Option<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) written: Vec<WrittenFile>,
    pub(super) current: Option<(File, PathBuf)>,
    /// Why it failed, in words for the caller; an `io::Error` only says that it did.
    pub(super) failure: Option<Refusal>,
}

impl Files<'_> {
    /// Begins a file.
    pub(super) fn open(&mut self, name: &str) -> io::Result<()> {
        let path = absolute(self.server, name, &self.user).map_err(|why| self.fail(why))?;
        if self.written.iter().any(|file| file.path == path.to_string_lossy()) {
            let shown = path.display();
            return Err(self.fail((StatusCode::BAD_REQUEST, format!(
                "you cannot upload multiple files to the same path '{shown}' in one upload request, only the first specified file was uploaded"
            ))));
        }
        let file = self.create(&path).map_err(|why| self.fail(why))?;
        self.current = Some((file, path));
        Ok(())
    }

    fn create(&self, path: &std::path::Path) -> Result<File, Refusal> {
        let failed = |what: &'static str| move |error: io::Error| storage_failure(what, &error);
        if let Some(parent) = path.parent() {
            ensure_folders(parent, &self.user).map_err(failed("error ensuring directories"))?;
        }
        let exists = match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => {
                let why = format!("path is a directory: {}", path.display());
                return Err((StatusCode::BAD_REQUEST, why));
            }
            other => other.is_ok(),
        };
        if exists {
            give(path, &self.user).map_err(failed("error changing file ownership"))?;
        }
        let file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o666)
            // A pipe that nobody reads must not hold up everybody else.
            .custom_flags(libc::O_NONBLOCK)
            .open(path)
            .map_err(failed("error opening file"))?;
        if !exists {
            match fchown(&file, Some(self.user.uid), Some(self.user.gid)) {
                Err(error) if !self.user.is_own() => {
                    return Err(storage_failure("error changing file ownership", &error));
                }
                _ => {}
            }
        }
        Ok(file)
    }

    /// Ends the file that was begun.
    pub(super) fn close(&mut self) -> io::Result<()> {
        let Some((file, path)) = self.current.take() else { return Ok(()) };
        metadata::write(&file, &self.metadata)
            .map_err(|error| self.fail(storage_failure("error writing file metadata", &error)))?;
        self.written.push(WrittenFile {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            kind: "file".to_owned(),
            metadata: metadata::read(&path),
            path: path.to_string_lossy().into_owned(),
        });
        Ok(())
    }

    fn fail(&mut self, why: Refusal) -> io::Error {
        let error = io::Error::other(why.1.clone());
        self.failure = Some(why);
        error
    }
}

impl Parts for Files<'_> {
    fn begin(&mut self, name: &str, file: Option<&str>) -> io::Result<()> {
        if name != "file" {
            return Ok(());
        }
        let path = self.path.clone().or_else(|| file.map(ToOwned::to_owned)).ok_or_else(|| {
            let why = "error getting multipart custom part file name: filename not found";
            self.fail((StatusCode::BAD_REQUEST, why.to_owned()))
        })?;
        self.open(&path)
    }

    fn data(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Some((file, _)) = &mut self.current else { return Ok(()) };
        file.write_all(bytes)
            .map_err(|error| self.fail(storage_failure("error writing file", &error)))
    }

    fn end(&mut self) -> io::Result<()> {
        self.close()
    }
}

/// The bytes of a body, after they were decompressed.
pub(super) struct Sink<'a> {
    pub(super) files: Files<'a>,
    /// None when the body is one file as it is.
    pub(super) form: Option<Parser>,
}

impl Write for Sink<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.form {
            Some(form) => form.push(bytes, &mut self.files)?,
            None => self.files.data(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
