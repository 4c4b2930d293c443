//! `/files`: contents of files, out and in.

mod begun;
mod compose;
mod download;
mod encoding;
pub(super) mod metadata;
mod multipart;
mod range;
mod sink;
mod upload;

use std::path::PathBuf;

use hyper::{HeaderMap, Response, StatusCode};

use super::auth::Signed;
use super::host::now;
use super::paths::resolve;
use super::reply::{self, Reply};
use super::router::Query;
use super::state::Server;
use super::users::User;

pub(super) use compose::compose;
pub(super) use download::download;
pub(super) use upload::upload;

/// Why a request for a file is refused.
type Refusal = (StatusCode, String);

fn refused((status, message): &Refusal) -> Response<Reply> {
    reply::problem(*status, message)
}

/// Checks that a caller may do this to a path, and finds the user that they do it as.
fn admit(
    server: &Server,
    headers: &HeaderMap,
    query: &Query,
    operation: &str,
) -> Result<User, Refusal> {
    let signed = Signed {
        path: query.get("path").unwrap_or(""),
        operation,
        user: query.get("username").unwrap_or(""),
        signature: query.get("signature"),
        expiration: query.get("signature_expiration"),
    };
    server
        .check_signature(headers, &signed, now())
        .map_err(|why| (StatusCode::UNAUTHORIZED, why.to_owned()))?;
    named_user(server, query.get("username"))
}

fn named_user(server: &Server, name: Option<&str>) -> Result<User, Refusal> {
    server.user(name.filter(|name| !name.is_empty())).map_err(|name| {
        let why = format!("error looking up user '{name}': user: unknown user {name}");
        (StatusCode::UNAUTHORIZED, why)
    })
}

fn absolute(server: &Server, path: &str, user: &User) -> Result<PathBuf, Refusal> {
    resolve(path, user, server.workdir().as_deref()).map_err(|why| (StatusCode::BAD_REQUEST, why))
}

/// How a failure of the file system is answered: a full disk has a status of its own.
fn storage_failure(what: &str, error: &std::io::Error) -> Refusal {
    match error.raw_os_error() {
        Some(libc::ENOSPC | libc::EDQUOT) => {
            (StatusCode::INSUFFICIENT_STORAGE, format!("{what}: not enough disk space available"))
        }
        _ => (StatusCode::INTERNAL_SERVER_ERROR, format!("{what}: {error}")),
    }
}
