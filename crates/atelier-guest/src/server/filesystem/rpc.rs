//! `filesystem.Filesystem`: what callers ask for.

use std::path::PathBuf;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use super::super::paths::resolve;
use super::super::reply::{self, Reply};
use super::super::rpc::{keepalive, single, unary};
use super::super::state::Server;
use super::super::users::{Names, User};
use super::{entry, folders, watch};
use crate::wire::{
    Code, ConnectError, Empty, EntryResponse, ListDirRequest, ListDirResponse, MoveRequest,
    PathRequest, WatchRequest, WatcherId,
};

/// A unary call.
pub(in super::super) async fn call(
    server: &Rc<Server>,
    method: &str,
    request: Request<Incoming>,
) -> Result<Response<Reply>, ConnectError> {
    let user = server.caller(request.headers())?;
    let body = request.into_body();
    let at = |path: &str| absolute(server, path, &user);
    match method {
        "Stat" => {
            let request: PathRequest = unary(body).await?;
            let entry = entry::describe(&at(&request.path)?, &Names::read())?;
            Ok(ok(&EntryResponse { entry }))
        }
        "ListDir" => {
            let request: ListDirRequest = unary(body).await?;
            let path = at(&request.path)?;
            let entries = beside(move || folders::list(&path, request.depth)).await?;
            Ok(ok(&ListDirResponse { entries }))
        }
        "MakeDir" => {
            let request: PathRequest = unary(body).await?;
            let entry = folders::make(&at(&request.path)?, &user)?;
            Ok(ok(&EntryResponse { entry }))
        }
        "Move" => {
            let request: MoveRequest = unary(body).await?;
            let entry = folders::rename(&at(&request.source)?, &at(&request.destination)?, &user)?;
            Ok(ok(&EntryResponse { entry }))
        }
        "Remove" => {
            let request: PathRequest = unary(body).await?;
            let path = at(&request.path)?;
            beside(move || folders::remove(&path)).await?;
            Ok(ok(&Empty {}))
        }
        _ => watcher(server, method, body, &user).await,
    }
}

async fn watcher(
    server: &Server,
    method: &str,
    body: Incoming,
    user: &User,
) -> Result<Response<Reply>, ConnectError> {
    match method {
        "CreateWatcher" => {
            let request: WatchRequest = unary(body).await?;
            let watch = watch::open(&absolute(server, &request.path, user)?, &request)?;
            Ok(ok(&server.watchers.create(watch)?))
        }
        "GetWatcherEvents" => {
            let id: WatcherId = unary(body).await?;
            Ok(ok(&server.watchers.events(&id)?))
        }
        "RemoveWatcher" => {
            let id: WatcherId = unary(body).await?;
            server.watchers.remove(&id)?;
            Ok(ok(&Empty {}))
        }
        _ => Err(ConnectError::new(Code::Unimplemented, format!("no method {method}"))),
    }
}

/// `WatchDir`.
pub(in super::super) async fn stream(
    server: &Rc<Server>,
    request: Request<Incoming>,
) -> Result<Response<Reply>, ConnectError> {
    let user = server.caller(request.headers())?;
    let keepalive = keepalive(request.headers());
    let request: WatchRequest = single(request.into_body()).await?;
    let watch = watch::open(&absolute(server, &request.path, &user)?, &request)?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::task::spawn_local(watch::send(watch, keepalive, sender));
    Ok(reply::stream(receiver))
}

fn absolute(server: &Server, path: &str, user: &User) -> Result<PathBuf, ConnectError> {
    resolve(path, user, server.workdir().as_deref()).map_err(ConnectError::invalid)
}

fn ok<T: Serialize>(value: &T) -> Response<Reply> {
    reply::json(StatusCode::OK, value)
}

/// Runs what may take long on another thread.
async fn beside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ConnectError> + Send + 'static,
) -> Result<T, ConnectError> {
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| ConnectError::internal(error.to_string()))?
}
