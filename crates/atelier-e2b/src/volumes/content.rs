//! `/volumecontent/{id}/…`: the files of a volume, for whoever shows its token. Files themselves are
//! [`super::tree`]'s.

use std::future::Future;
use std::io;

use axum::Json;
use axum::body::Body;
use axum::extract::{FromRequestParts, Path};
use axum::http::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Router};
use futures_util::StreamExt;
use serde::Deserialize;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

use super::Shared;
use super::tree::{Attributes, Failure, Stat, Tree};
use crate::request::{self, Params};
use crate::{E2b, E2bError};

/// How much of a file is read at a time.
const BLOCK: usize = 128 << 10;

pub(crate) fn routes() -> Router<E2b> {
    Router::new()
        .route("/volumecontent/{id}/path", get(stat).patch(change).delete(remove))
        .route("/volumecontent/{id}/dir", get(list).post(make_folder))
        .route("/volumecontent/{id}/file", get(read).put(write))
}

/// A volume that was opened by its token, and the path in it that is asked for.
struct Asked {
    tree: Tree,
    path: String,
    params: Params,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = E2bError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, E2bError> {
        let refused = || E2bError::Unauthorised("the volume's token is not valid".to_owned());
        let Path(id) =
            Path::<String>::from_request_parts(parts, state).await.map_err(|_| refused())?;
        let Extension(volumes) = Extension::<Shared>::from_request_parts(parts, state)
            .await
            .map_err(|_| E2bError::Unserved("volumes"))?;
        let token = token(&parts.headers).ok_or_else(refused)?;
        let folder = volumes.folder(&id, token).ok_or_else(refused)?;
        let params = Params::from_request_parts(parts, state).await?;
        let path = params.get("path");
        let path = path.ok_or_else(|| E2bError::Invalid("path is missing".to_owned()))?.to_owned();
        Ok(Self { tree: Tree::new(folder), path, params })
    }
}

fn token(headers: &HeaderMap) -> Option<&str> {
    headers.get(AUTHORIZATION)?.to_str().ok()?.strip_prefix("Bearer ")
}

impl Asked {
    fn attributes(&self) -> Result<Attributes, E2bError> {
        let number = |name: &str| match self.params.number(name)? {
            None => Ok(None),
            Some(value) => u32::try_from(value)
                .map(Some)
                .map_err(|_| E2bError::Invalid(format!("{name} can't be used"))),
        };
        Ok(Attributes { uid: number("uid")?, gid: number("gid")?, mode: number("mode")? })
    }

    fn force(&self) -> bool {
        self.params.get("force") == Some("true")
    }
}

impl From<Failure> for E2bError {
    fn from(failure: Failure) -> Self {
        let said = failure.to_string();
        match failure {
            Failure::Missing(_) => Self::NotFound(said),
            Failure::Exists(_) | Failure::Kind { .. } => Self::Conflict(said),
            Failure::Unusable { .. } => Self::Invalid(said),
            Failure::Io { .. } => Self::Failed(said),
        }
    }
}

/// Does what may wait for a disk.
fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> impl Future<Output = Result<T, E2bError>> {
    let done = tokio::task::spawn_blocking(work);
    async move { Ok(done.await.map_err(|error| E2bError::Failed(error.to_string()))??) }
}

async fn stat(asked: Asked) -> Result<Json<Stat>, E2bError> {
    Ok(Json(on_disk(move || asked.tree.stat(&asked.path)).await?))
}

/// What a path is to have from now on.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Metadata {
    uid: Option<u32>,
    gid: Option<u32>,
    mode: Option<u32>,
}

async fn change(
    asked: Asked,
    request::Body(to): request::Body<Metadata>,
) -> Result<Json<Stat>, E2bError> {
    let attributes = Attributes { uid: to.uid, gid: to.gid, mode: to.mode };
    Ok(Json(on_disk(move || asked.tree.change(&asked.path, &attributes)).await?))
}

async fn remove(asked: Asked) -> Result<StatusCode, E2bError> {
    on_disk(move || asked.tree.remove(&asked.path)).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn list(asked: Asked) -> Result<Json<Vec<Stat>>, E2bError> {
    let depth = asked.params.number("depth")?.unwrap_or(1);
    let depth = u32::try_from(depth).ok().filter(|depth| *depth > 0);
    let depth = depth.ok_or_else(|| E2bError::Invalid("depth is at least 1".to_owned()))?;
    Ok(Json(on_disk(move || asked.tree.list(&asked.path, depth)).await?))
}

async fn make_folder(asked: Asked) -> Result<(StatusCode, Json<Stat>), E2bError> {
    let (attributes, force) = (asked.attributes()?, asked.force());
    let made = on_disk(move || asked.tree.make_folder(&asked.path, &attributes, force)).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

async fn read(asked: Asked) -> Result<Response, E2bError> {
    let file = on_disk(move || asked.tree.read(&asked.path)).await?;
    let file = tokio::fs::File::from_std(file);
    let meta = file.metadata().await.map_err(|error| E2bError::Failed(error.to_string()))?;
    let headers = [
        (CONTENT_TYPE, "application/octet-stream".to_owned()),
        (CONTENT_LENGTH, meta.len().to_string()),
    ];
    // A file that grows meanwhile is read as it was: its length was said.
    let bytes = tokio::io::AsyncReadExt::take(file, meta.len());
    let body = Body::from_stream(ReaderStream::with_capacity(bytes, BLOCK));
    Ok((headers, body).into_response())
}

async fn write(asked: Asked, body: Body) -> Result<(StatusCode, Json<Stat>), E2bError> {
    let (attributes, force) = (asked.attributes()?, asked.force());
    let (tree, path) = (asked.tree.clone(), asked.path.clone());
    let new = on_disk(move || tree.begin(&path, force)).await?;
    let file = new.file().map_err(|error| E2bError::Failed(error.to_string()))?;
    let mut file = tokio::fs::File::from_std(file);
    let mut blocks = body.into_data_stream();
    while let Some(block) = blocks.next().await {
        let block = block.map_err(|e| E2bError::Invalid(format!("the upload broke off: {e}")))?;
        file.write_all(&block).await.map_err(|error| unwritten(&error))?;
    }
    file.flush().await.map_err(|error| unwritten(&error))?;
    let written = on_disk(move || asked.tree.finish(new, &attributes, force)).await?;
    Ok((StatusCode::CREATED, Json(written)))
}

fn unwritten(error: &io::Error) -> E2bError {
    E2bError::Failed(format!("the file can't be written: {error}"))
}
