//! Archives of files for template builds: a link to put one to, receiving it, and sweeping.
//!
//! They are called by the hash that the client computed over what is in them. A link is a ticket
//! for one hash and some time; whoever has it needs no key, as with E2B's signed addresses.

use std::collections::HashMap;
use std::io::Read;
use std::path::{Path as FilePath, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use futures_util::StreamExt;
use serde::Serialize;
use tokio::io::AsyncWriteExt;
use uuid::Uuid;

use crate::request::Caller;
use crate::{Door, E2b, E2bError};

/// Where uploads go, below the API's root.
pub(crate) const PATH: &str = "/e2b-uploads";
/// How long a ticket is good.
const VALID: Duration = Duration::from_secs(3600);
/// How many tickets there are at most; the oldest go first.
const TICKETS: usize = 1000;
/// How long nothing may come while something is received.
const STALLED: Duration = Duration::from_secs(60);
/// How old what was never finished may get.
const UNFINISHED: Duration = Duration::from_secs(24 * 3600);

/// Tickets that were handed out.
#[derive(Default)]
pub(crate) struct Tickets(Mutex<HashMap<String, Ticket>>);

#[derive(Clone)]
struct Ticket {
    file: PathBuf,
    since: Instant,
}

impl Tickets {
    fn issue(&self, file: PathBuf) -> std::io::Result<String> {
        let mut random = [0_u8; 24];
        std::fs::File::open("/dev/urandom")?.read_exact(&mut random)?;
        let name: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        let mut tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        tickets.retain(|_, ticket| ticket.since.elapsed() < VALID);
        if tickets.len() >= TICKETS {
            let oldest = tickets.iter().min_by_key(|(_, ticket)| ticket.since);
            let oldest = oldest.map(|(name, _)| name.clone());
            oldest.and_then(|oldest| tickets.remove(&oldest));
        }
        tickets.insert(name.clone(), Ticket { file, since: Instant::now() });
        Ok(name)
    }

    fn file(&self, name: &str) -> Option<PathBuf> {
        let tickets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let ticket = tickets.get(name).filter(|ticket| ticket.since.elapsed() < VALID);
        ticket.map(|ticket| ticket.file.clone())
    }
}

/// Where the archive of a hash lies.
pub(crate) fn file(folder: &FilePath, hash: &str) -> Option<PathBuf> {
    let valid = hash.len() == 64 && hash.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    valid.then(|| folder.join("files").join(hash))
}

/// `TemplateBuildFileUpload`.
#[derive(Debug, Serialize)]
pub(crate) struct Link {
    present: bool,
    url: String,
}

/// `GET /templates/{id}/files/{hash}`: whether it is there, and where it may be put.
pub(crate) async fn link<D: Door>(
    Caller(door): Caller<D>,
    State(e2b): State<E2b>,
    Path((_, hash)): Path<(String, String)>,
) -> Result<(StatusCode, Json<Link>), E2bError> {
    let invalid = || E2bError::Invalid("Invalid files hash".to_owned());
    let file = file(&door.uploads(), &hash).ok_or_else(invalid)?;
    let present = tokio::fs::try_exists(&file).await.unwrap_or(false);
    let failed = |error| E2bError::Failed(format!("no upload link can be made: {error}"));
    let ticket = e2b.inner.tickets.issue(file).map_err(failed)?;
    let base = door.base_url();
    let url = format!("{}{PATH}/{ticket}", base.trim_end_matches('/'));
    Ok((StatusCode::CREATED, Json(Link { present, url })))
}

/// `PUT` of an archive to a link.
pub(crate) async fn receive(
    State(e2b): State<E2b>,
    Path(ticket): Path<String>,
    body: Body,
) -> Result<StatusCode, E2bError> {
    let gone = || E2bError::NotFound("this upload link is not valid, or no longer".to_owned());
    let file = e2b.inner.tickets.file(&ticket).ok_or_else(gone)?;
    let folder = file.parent().unwrap_or(&file).to_path_buf();
    let part = folder.join(format!(".{}.part", Uuid::now_v7()));
    let failed = |error| E2bError::Failed(format!("the upload can't be kept: {error}"));
    tokio::fs::create_dir_all(&folder).await.map_err(failed)?;
    let limit = e2b.inner.settings.upload_bytes;
    let mut received = store(body, &part, limit).await;
    if received.is_ok() {
        received = tokio::fs::rename(&part, &file).await.map_err(failed);
    }
    if let Err(error) = received {
        // Whatever is left of it is swept later.
        let _ = tokio::fs::remove_file(&part).await;
        return Err(error);
    }
    if let Some(root) = folder.parent() {
        sweep(root, e2b.inner.settings.uploads_bytes).await;
    }
    Ok(StatusCode::OK)
}

async fn store(body: Body, part: &FilePath, limit: u64) -> Result<(), E2bError> {
    let failed = |error| E2bError::Failed(format!("the upload can't be kept: {error}"));
    let mut file = tokio::fs::File::create(part).await.map_err(failed)?;
    let (mut blocks, mut total) = (body.into_data_stream(), 0);
    loop {
        let next = tokio::time::timeout(STALLED, blocks.next()).await;
        let block = match next {
            Ok(Some(Ok(block))) => block,
            Ok(None) => break,
            Ok(Some(Err(error))) => {
                return Err(E2bError::Invalid(format!("the upload broke off: {error}")));
            }
            Err(_) => return Err(E2bError::Invalid("the upload stalled".to_owned())),
        };
        total += block.len() as u64;
        if total > limit {
            return Err(E2bError::TooLarge(format!("an upload has at most {limit} bytes")));
        }
        file.write_all(&block).await.map_err(failed)?;
    }
    file.flush().await.map_err(failed)
}

/// Notes that an archive was used, so that it is not the next to go.
pub(crate) async fn used(file: &FilePath) {
    let file = file.to_path_buf();
    let touch = move || {
        let now = SystemTime::now();
        std::fs::File::options().append(true).open(file)?.set_modified(now)
    };
    // A note that is lost costs at most another upload.
    let _ = tokio::task::spawn_blocking(touch).await;
}

/// Removes what is too old or too much. What cannot be removed is left for the next time.
pub(crate) async fn sweep(root: &FilePath, limit: u64) {
    let folder = root.join("files");
    let swept = tokio::task::spawn_blocking(move || sweep_now(&folder, limit)).await;
    if let Ok(Err(error)) = swept {
        tracing::warn!(%error, "uploads can't be swept");
    }
}

fn sweep_now(folder: &FilePath, limit: u64) -> std::io::Result<()> {
    if !folder.exists() {
        return Ok(());
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let meta = entry.metadata()?;
        let used = meta.modified()?;
        let unfinished = entry.file_name().as_encoded_bytes().starts_with(b".");
        if !unfinished {
            files.push((used, meta.len(), entry.path()));
        } else if used.elapsed().is_ok_and(|age| age > UNFINISHED) {
            std::fs::remove_file(entry.path())?;
        }
    }
    files.sort();
    let mut total: u64 = files.iter().map(|(_, bytes, _)| bytes).sum();
    // The newest stays, however big it is: somebody is about to build with it.
    files.pop();
    for (_, bytes, path) in files {
        if total <= limit {
            break;
        }
        std::fs::remove_file(path)?;
        total -= bytes;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_a_hash_and_no_path() {
        let folder = FilePath::new("/up");
        assert!(file(folder, &"a0".repeat(32)).is_some());
        for bad in ["", "../x", &"A0".repeat(32), &"a0".repeat(31), &"/".repeat(64)] {
            assert!(file(folder, bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let folder = tempfile::tempdir().unwrap();
        for (age, name) in ["new", "old", "oldest"].iter().enumerate() {
            let path = folder.path().join(name);
            std::fs::write(&path, [0; 10]).unwrap();
            let then = SystemTime::now() - Duration::from_secs(age as u64 * 100);
            std::fs::File::options().append(true).open(path).unwrap().set_modified(then).unwrap();
        }
        sweep_now(folder.path(), 20).unwrap();
        assert!(!folder.path().join("oldest").exists());
        assert!(folder.path().join("old").exists());
        sweep_now(folder.path(), 1).unwrap();
        assert!(folder.path().join("new").exists(), "the newest stays");
    }
}
