//! `POST /files/compose`: several files become one.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};

use super::super::paths::{ensure_folders, give};
use super::super::reply::{self, Reply};
use super::super::rpc::unary;
use super::super::state::Server;
use super::super::users::User;
use super::{Refusal, absolute, named_user, refused, storage_failure};
use crate::wire::{ComposeRequest, WrittenFile};

/// Joins files into one and removes them.
pub(in super::super) async fn compose(
    server: &Server,
    request: Request<Incoming>,
) -> Response<Reply> {
    let prepared = match unary::<ComposeRequest>(request.into_body()).await {
        Ok(message) => prepare(server, &message),
        Err(error) => Err(invalid(format!("invalid request body: {error}"))),
    };
    let done = match prepared {
        Ok((sources, to, user)) => {
            tokio::task::spawn_blocking(move || join(&sources, &to, &user).map(|()| to))
                .await
                .unwrap_or_else(|error| Err((StatusCode::INTERNAL_SERVER_ERROR, error.to_string())))
        }
        Err(refusal) => Err(refusal),
    };
    match done {
        Ok(path) => {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let path = path.to_string_lossy().into_owned();
            let kind = "file".to_owned();
            reply::json(StatusCode::OK, &WrittenFile { path, name, kind, ..Default::default() })
        }
        Err(refusal) => refused(&refusal),
    }
}

fn invalid(why: impl Into<String>) -> Refusal {
    (StatusCode::BAD_REQUEST, why.into())
}

fn prepare(
    server: &Server,
    request: &ComposeRequest,
) -> Result<(Vec<PathBuf>, PathBuf, User), Refusal> {
    if request.source_paths.is_empty() {
        return Err(invalid("source_paths must not be empty"));
    }
    if request.destination.is_empty() {
        return Err(invalid("destination is required"));
    }
    let user = named_user(server, request.username.as_deref())?;
    let to = absolute(server, &request.destination, &user)?;
    let mut sources = Vec::new();
    for source in &request.source_paths {
        let path = absolute(server, source, &user)?;
        if path == to {
            let why = format!("source path \"{source}\" cannot be the same as destination");
            return Err(invalid(why));
        }
        let found = fs::metadata(&path)
            .map_err(|_| (StatusCode::NOT_FOUND, format!("source file not found: {source}")))?;
        if !found.is_file() {
            return Err(invalid(format!("source path is not a regular file: {source}")));
        }
        sources.push(path);
    }
    Ok((sources, to, user))
}

/// What was at the destination stays there until the whole is written.
fn join(sources: &[PathBuf], to: &Path, user: &User) -> Result<(), Refusal> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let failed = |error: io::Error| storage_failure("error composing", &error);
    if let Some(parent) = to.parent() {
        ensure_folders(parent, user).map_err(failed)?;
    }
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = to.file_name().unwrap_or_default().to_owned();
    name.push(format!(".compose-{}-{number}.tmp", std::process::id()));
    let unfinished = to.with_file_name(name);
    let written = write(sources, &unfinished, user).and_then(|()| fs::rename(&unfinished, to));
    if let Err(error) = written {
        let _ = fs::remove_file(&unfinished);
        return Err(failed(error));
    }
    for source in sources {
        // The whole is in place; a part that stays does no harm.
        let _ = fs::remove_file(source);
    }
    Ok(())
}

fn write(sources: &[PathBuf], to: &Path, user: &User) -> io::Result<()> {
    let mut whole = OpenOptions::new().write(true).create_new(true).open(to)?;
    give(to, user)?;
    for source in sources {
        io::copy(&mut File::open(source)?, &mut whole)?;
    }
    Ok(())
}
