//! Which path is whose.

use std::borrow::Cow;
use std::convert::Infallible;
use std::rc::Rc;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, Uri};
use hyper_util::rt::TokioIo;

use super::listener::Connection;
use super::reply::{self, Reply};
use super::state::Server;
use super::{files, filesystem, host, layer, process, rpc, tunnel};
use crate::wire::{ConnectError, InitRequest};

/// What is buffered for a client that reads slowly, in bytes.
const BUFFER: usize = 64 << 10;

/// Serves one connection until it closes.
pub(super) async fn serve_connection(server: Rc<Server>, connection: Connection) {
    let service = service_fn(move |request| {
        let server = Rc::clone(&server);
        async move { Ok::<_, Infallible>(respond(&server, request).await) }
    });
    let serving = http1::Builder::new()
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(connection), service)
        .with_upgrades();
    // A client that goes away in the middle is no failure of ours.
    let _ = serving.await;
}

async fn respond(server: &Rc<Server>, request: Request<Incoming>) -> Response<Reply> {
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    if !server.may_call(method.as_str(), &path, request.headers()) {
        return reply::problem(
            StatusCode::UNAUTHORIZED,
            "unauthorized access, please provide a valid access token or method signing if supported",
        );
    }
    match (&method, path.as_str()) {
        (&Method::GET, "/health") => reply::nothing(),
        (&Method::GET, "/metrics") => reply::json(StatusCode::OK, &host::metrics(server)),
        (&Method::GET, "/envs") => reply::json(StatusCode::OK, &server.environment()),
        (&Method::GET, "/listening") => reply::json(StatusCode::OK, &host::listening()),
        (&Method::GET, "/layer") => layer::send(server).await,
        (&Method::GET, "/tunnel") => tunnel::open(server, request).await,
        (&Method::GET | &Method::HEAD, "/files") => files::download(server, &request),
        (&Method::POST, "/files") => files::upload(server, request).await,
        (&Method::POST, "/files/compose") => files::compose(server, request).await,
        (&Method::POST, "/init") => init(server, request).await,
        (&Method::POST, "/sync") if server.options.set_clock => write_to_disks().await,
        (&Method::POST, "/shutdown") if server.options.set_clock => shut_down(),
        (&Method::POST, path) => call(server, path, request).await,
        _ => reply::problem(StatusCode::NOT_FOUND, &format!("nothing is at {method} {path}")),
    }
}

/// A Connect call.
async fn call(server: &Rc<Server>, path: &str, request: Request<Incoming>) -> Response<Reply> {
    let Some((service, method)) = path.trim_start_matches('/').split_once('/') else {
        return reply::problem(StatusCode::NOT_FOUND, &format!("nothing is at POST {path}"));
    };
    let streaming = matches!(method, "Start" | "Connect" | "StreamInput" | "WatchDir");
    if !rpc::has_type(request.headers(), streaming) {
        let why = "calls are application/json, streams are application/connect+json";
        return reply::problem(StatusCode::UNSUPPORTED_MEDIA_TYPE, why);
    }
    let result = match (service, streaming) {
        ("process.Process", false) => process::call(server, method, request.into_body()).await,
        ("process.Process", true) => process::stream(server, method, request).await,
        ("filesystem.Filesystem", false) => filesystem::call(server, method, request).await,
        ("filesystem.Filesystem", true) => filesystem::stream(server, request).await,
        _ => return reply::problem(StatusCode::NOT_FOUND, &format!("no service {service}")),
    };
    match result {
        Ok(response) => response,
        Err(error) if streaming => reply::failed_stream(&error),
        Err(error) => reply::failed(&error),
    }
}

async fn init(server: &Server, request: Request<Incoming>) -> Response<Reply> {
    let shows_token = server.shows_token(request.headers());
    match rpc::unary::<InitRequest>(request.into_body()).await {
        Ok(message) if shows_token || message.access_token == server.token() => {
            server.init(message).map_or_else(|error| refused(&error), |()| reply::nothing())
        }
        Ok(_) => reply::problem(StatusCode::UNAUTHORIZED, "access token mismatch"),
        Err(error) => refused(&error),
    }
}

/// Has this machine's kernel write to its disks what it still holds in memory.
async fn write_to_disks() -> Response<Reply> {
    match tokio::task::spawn_blocking(nix::unistd::sync).await {
        Ok(()) => reply::nothing(),
        Err(error) => reply::problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Ends the guest, and the machine whose init it is: the same as SIGTERM, for those outside, who
/// can't send one.
fn shut_down() -> Response<Reply> {
    // SAFETY: no pointers, and the signal has a handler that only makes a note of it.
    unsafe { libc::raise(libc::SIGTERM) };
    reply::nothing()
}

fn refused(error: &ConnectError) -> Response<Reply> {
    let status = StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::BAD_REQUEST);
    reply::problem(status, &error.message)
}

/// The query of a URL.
pub(super) struct Query(Vec<(String, String)>);

impl Query {
    pub(super) fn of(uri: &Uri) -> Self {
        let pairs = uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty());
        Self(
            pairs
                .map(|pair| {
                    let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
                    (decode(key), decode(value))
                })
                .collect(),
        )
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }
}

/// Undoes percent-encoding; a plus is a space, as in forms.
pub(super) fn decode(text: &str) -> String {
    let spaced: Cow<'_, str> =
        if text.contains('+') { text.replace('+', " ").into() } else { text.into() };
    let bytes = spaced.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = spaced.get(at + 1..at + 3).filter(|_| bytes[at] == b'%');
        match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => {
                decoded.push(byte);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&decoded).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_decoded_and_broken_escapes_stay() {
        let uri: Uri = "/files?path=%2Fa%20b+c&x=100%&y=%C3%A4".parse().unwrap();
        let query = Query::of(&uri);
        assert_eq!(query.get("path"), Some("/a b c"));
        assert_eq!(query.get("x"), Some("100%"));
        assert_eq!(query.get("y"), Some("ä"));
        assert_eq!(query.get("z"), None);
    }
}
