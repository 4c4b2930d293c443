//! Where requests go: what the proxy asks, and what it is told. The side of the contract that users of
//! the crate implement.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

/// A future behind a pointer, so that the traits here can be objects.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A connection of bytes in both directions.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// What a request is for.
#[derive(Debug, Clone, Copy)]
pub struct Destination<'a> {
    /// The host name in lower case, without port and without a dot at its end.
    pub host: &'a str,
    /// The port that stood beside the host name.
    pub port_in_host_header: Option<u16>,
    /// The method.
    pub method: &'a Method,
    /// The headers as the client sent them.
    pub headers: &'a HeaderMap,
    /// Path and query as the client sent them.
    pub path_and_query: &'a str,
    /// Who is at the other end of the connection.
    pub peer: SocketAddr,
    /// Whether the client came over TLS.
    pub tls: bool,
}

/// Finds upstreams. A host name that it does not know reaches nothing: the proxy resolves no names.
pub trait Upstreams: Send + Sync + 'static {
    /// Where the request goes. It may take long, for example while a paused machine is resumed; it is
    /// dropped when the client goes away.
    fn find<'a>(&'a self, to: &'a Destination<'_>) -> BoxFuture<'a, Result<Upstream, Refusal>>;

    /// What the client is told when the upstream that was found could not be used.
    fn closed(&self, to: &Destination<'_>, failure: &Failure) -> Refusal {
        let status = match failure {
            Failure::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
            _ => StatusCode::BAD_GATEWAY,
        };
        Refusal::text(status, format!("{}: {failure}", to.host))
    }
}

/// A place that answers requests.
pub struct Upstream {
    /// Connections of the same key are interchangeable, and are kept for later requests.
    pub key: String,
    /// Opens a connection.
    pub dial: Arc<dyn Dial>,
    /// The `Host` header for the upstream, when it must not see the client's.
    pub host: Option<String>,
    /// Headers that the upstream gets in place of the client's.
    pub set_headers: Vec<(HeaderName, HeaderValue)>,
    /// Headers that the upstream must not see, such as our own tokens.
    pub remove_headers: Vec<HeaderName>,
    /// Dropped when the answer, or the upgraded connection, has ended.
    pub guard: Option<Box<dyn Any + Send>>,
    /// Ends when the upstream will not answer any more, with what the client is told unless the answer
    /// has begun.
    pub leaves: Option<BoxFuture<'static, Refusal>>,
}

impl Upstream {
    /// An upstream that gets requests as they are.
    pub fn new(key: impl Into<String>, dial: Arc<dyn Dial>) -> Self {
        Self {
            key: key.into(),
            dial,
            host: None,
            set_headers: Vec::new(),
            remove_headers: Vec::new(),
            guard: None,
            leaves: None,
        }
    }
}

/// Opens connections to one upstream.
pub trait Dial: Send + Sync + 'static {
    /// One new connection.
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>>;
}

/// Dials one TCP address.
#[derive(Debug, Clone, Copy)]
pub struct TcpDial(pub SocketAddr);

impl Dial for TcpDial {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream = TcpStream::connect(self.0).await?;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Why an upstream gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody answers there.
    #[error("no connection: {0}")]
    Unreachable(#[source] io::Error),
    /// The connection ended before the answer began, or the answer is not HTTP.
    #[error("no valid answer: {0}")]
    Broken(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It took longer than the options allow.
    #[error("{0} took too long")]
    TimedOut(&'static str),
}

/// An answer in place of an upstream's.
#[derive(Debug, Clone)]
pub struct Refusal {
    /// The status.
    pub status: StatusCode,
    /// The type of the body.
    pub content_type: &'static str,
    /// The body.
    pub body: Bytes,
}

impl Refusal {
    /// A sentence for people. A line break is added.
    pub fn text(status: StatusCode, sentence: impl Into<String>) -> Self {
        let mut text: String = sentence.into();
        text.push('\n');
        Self { status, content_type: "text/plain; charset=utf-8", body: text.into() }
    }

    /// JSON as it is.
    pub fn json(status: StatusCode, json: impl Into<Bytes>) -> Self {
        Self { status, content_type: "application/json", body: json.into() }
    }
}
