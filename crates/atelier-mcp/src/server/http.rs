//! The table over streamable HTTP, at `/mcp`: for loopback unless the caller says otherwise, behind a token
//! where it is reachable from elsewhere, and closed to pages of the web (DNS rebinding).

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::transport::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::handler::Handler;
use super::tool::Table;
use crate::error::{McpError, Result};

/// Where it is served.
const PATH: &str = "/mcp";
/// How long a request's head may take.
const HEAD: Duration = Duration::from_secs(30);
/// How long the last answers have when the server ends.
const LAST: Duration = Duration::from_secs(2);

/// Who may speak with a server over HTTP.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// The token that each request must carry (`Authorization: Bearer`). Without one, only clients of this
    /// machine can be served.
    pub token: Option<String>,
    /// Names by which it is called, besides those of loopback.
    pub hosts: Vec<String>,
    /// Origins of web pages that may use it, besides those of loopback, with scheme and port.
    pub origins: Vec<String>,
}

/// What is answered.
pub type HttpBody = BoxBody<Bytes, Infallible>;
type Service = StreamableHttpService<Handler, LocalSessionManager>;

/// Serves a table over HTTP, until `stop` is ready.
///
/// # Errors
/// [`McpError::Target`] when others than this machine could reach it without a token; [`McpError::Serve`]
/// when the listener fails.
pub async fn serve_http(
    table: Table,
    listener: TcpListener,
    options: HttpOptions,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let failed = |source: io::Error| McpError::Serve { doing: "listen", source };
    let address = listener.local_addr().map_err(failed)?;
    if !address.ip().is_loopback() && options.token.as_deref().unwrap_or_default().is_empty() {
        let why =
            format!("{address} can be reached from elsewhere: an MCP server there needs a token");
        return Err(McpError::Target { why });
    }
    let door = Arc::new(HttpService::new(table, &options));
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    connections.spawn(connection(stream, door.clone()));
                }
                // Out of files, or a client that went away: others are still served.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    door.end();
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(LAST, ended).await;
    connections.shutdown().await;
    Ok(())
}

fn service(table: Table, options: &HttpOptions, ending: &CancellationToken) -> Service {
    let handler = Handler::new(table);
    let own = ["localhost", "127.0.0.1", "[::1]"];
    let hosts = ["localhost", "127.0.0.1", "::1"].into_iter().map(ToOwned::to_owned);
    let origins = own.iter().map(|host| format!("http://{host}:*"));
    let config = StreamableHttpServerConfig::default()
        .with_allowed_hosts(hosts.chain(options.hosts.iter().cloned()))
        .with_allowed_origins(origins.chain(options.origins.iter().cloned()))
        .enforce_origin_validation()
        .with_cancellation_token(ending.clone());
    StreamableHttpService::new(move || Ok(handler.clone()), Arc::default(), config)
}

/// A table over HTTP for whoever has a server already, and sends it the requests for its path.
///
/// What that server knows of a request (who calls, for one), it says by an extension of the request, which tools find by
/// [`Context::extension`](crate::Context::extension).
pub struct HttpService {
    service: Service,
    token: Option<String>,
    ending: CancellationToken,
}

async fn connection(stream: TcpStream, door: Arc<HttpService>) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request: Request<Incoming>| {
        let door = door.clone();
        async move {
            Ok::<_, Infallible>(match request.uri().path() {
                PATH => door.answer(request).await,
                _ => plain(StatusCode::NOT_FOUND, "MCP is served at /mcp"),
            })
        }
    });
    // A client that breaks off is no failure of ours.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

impl HttpService {
    /// For these.
    #[must_use]
    pub fn new(table: Table, options: &HttpOptions) -> Self {
        let ending = CancellationToken::new();
        let token = options.token.clone().filter(|token| !token.is_empty());
        Self { service: service(table, options, &ending), token, ending }
    }

    /// Answers a request, whatever its path.
    pub async fn answer<B>(&self, request: Request<B>) -> Response<HttpBody>
    where
        B: hyper::body::Body + Send + 'static,
        B::Error: std::fmt::Display,
    {
        if !self.admits(&request) {
            let mut response = plain(StatusCode::UNAUTHORIZED, "a bearer token is needed");
            let scheme = hyper::header::HeaderValue::from_static("Bearer");
            response.headers_mut().insert(WWW_AUTHENTICATE, scheme);
            return response;
        }
        self.service.handle(request).await
    }

    /// Ends all sessions.
    pub fn end(&self) {
        self.ending.cancel();
    }

    fn admits<B>(&self, request: &Request<B>) -> bool {
        let Some(token) = &self.token else { return true };
        let given = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let given = given.and_then(|value| value.split_once(' '));
        let given = given.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
        given.is_some_and(|(_, given)| same(given.trim().as_bytes(), token.as_bytes()))
    }
}

/// Whether two secrets are the same, in a time that tells nothing of where they differ.
fn same(given: &[u8], wanted: &[u8]) -> bool {
    let hash = |bytes| ring::digest::digest(&ring::digest::SHA256, bytes);
    let (given, wanted) = (hash(given), hash(wanted));
    let pairs = given.as_ref().iter().zip(wanted.as_ref());
    pairs.fold(0, |differing, (a, b)| differing | (a ^ b)) == 0
}

fn plain(status: StatusCode, text: &'static str) -> Response<HttpBody> {
    let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())).boxed());
    *response.status_mut() = status;
    response
}
