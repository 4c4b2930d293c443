//! A proxy with a table of host names, an upstream that tells what it got, and clients.

use std::collections::HashMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use atelier_ingress::{
    BoxFuture, Destination, Failure, Ingress, Options, Refusal, TcpDial, TlsConfig, Upstream,
    Upstreams,
};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Empty, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub type Body = BoxBody<Bytes, Infallible>;
pub const LONG: Duration = Duration::from_secs(20);

/// Host names and where they lead.
#[derive(Default)]
pub struct Table {
    pub hosts: Mutex<HashMap<String, SocketAddr>>,
    pub change: Mutex<Option<fn(&mut Upstream)>>,
    pub asked: AtomicUsize,
    /// Guards that are alive.
    pub open: Arc<AtomicUsize>,
}

struct Guard(Arc<AtomicUsize>);
impl Drop for Guard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Upstreams for Table {
    fn find<'a>(&'a self, to: &'a Destination<'_>) -> BoxFuture<'a, Result<Upstream, Refusal>> {
        Box::pin(async move {
            self.asked.fetch_add(1, Ordering::SeqCst);
            let found = self.hosts.lock().unwrap().get(to.host).copied();
            let Some(address) = found else {
                return Err(Refusal::json(
                    StatusCode::BAD_GATEWAY,
                    format!(
                        r#"{{"sandboxId":"{}","message":"The sandbox was not found"}}"#,
                        to.host
                    ),
                ));
            };
            let mut upstream = Upstream::new(address.to_string(), Arc::new(TcpDial(address)));
            self.open.fetch_add(1, Ordering::SeqCst);
            upstream.guard = Some(Box::new(Guard(self.open.clone())));
            if let Some(change) = *self.change.lock().unwrap() {
                change(&mut upstream);
            }
            Ok(upstream)
        })
    }

    fn closed(&self, _: &Destination<'_>, failure: &Failure) -> Refusal {
        let kind = match failure {
            Failure::Unreachable(_) => "port is not open",
            Failure::Broken(_) => "broken",
            Failure::TimedOut(_) => "timed out",
        };
        Refusal::text(StatusCode::BAD_GATEWAY, kind)
    }
}

/// A proxy that listens.
pub struct Place {
    pub ingress: Arc<Ingress>,
    pub table: Arc<Table>,
    pub address: SocketAddr,
    pub stop: CancellationToken,
    pub served: JoinHandle<()>,
}

impl Place {
    pub async fn new() -> Self {
        Self::with(Options::default(), None).await
    }

    pub async fn with(options: Options, tls: Option<TlsConfig>) -> Self {
        let table = Arc::new(Table::default());
        let ingress = Arc::new(Ingress::new(table.clone(), options));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(ingress.clone().serve(listener, tls.map(Arc::new), stop.clone()));
        Self { ingress, table, address, stop, served }
    }

    /// A proxy before an [`echo`] that is called `app.test`.
    pub async fn before_echo() -> Self {
        let place = Self::new().await;
        place.lead("app.test", echo().await.address);
        place
    }

    pub fn lead(&self, host: &str, to: SocketAddr) {
        self.table.hosts.lock().unwrap().insert(host.to_owned(), to);
    }

    pub async fn http1(&self) -> http1::SendRequest<Body> {
        http1_on(TcpStream::connect(self.address).await.unwrap()).await
    }

    pub async fn http2(&self) -> http2::SendRequest<Body> {
        http2_on(TcpStream::connect(self.address).await.unwrap()).await
    }

    /// Everything that comes back for some bytes, until the proxy closes the connection.
    pub async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(LONG, stream.read_to_end(&mut answer)).await;
        read.expect("the proxy closes the connection").ok();
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// Waits until one upstream is in use.
    pub async fn quiet_but_one(&self) {
        eventually(|| self.table.open.load(Ordering::SeqCst) == 1).await;
    }

    /// Waits until no upstream is in use.
    pub async fn quiet(&self) {
        eventually(|| self.table.open.load(Ordering::SeqCst) == 0).await;
    }
}

pub async fn eventually(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, wait).await.expect("it comes true");
}

pub async fn http1_on(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
) -> http1::SendRequest<Body> {
    let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection.with_upgrades());
    sender
}

pub async fn http2_on(
    stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
) -> http2::SendRequest<Body> {
    let executor = TokioExecutor::new();
    let (sender, connection) = http2::handshake(executor, TokioIo::new(stream)).await.unwrap();
    tokio::spawn(connection);
    sender
}

pub fn get(path: &str) -> Request<Body> {
    Request::get(path).header("host", "app.test").body(empty()).unwrap()
}

pub fn post(path: &str, body: Body) -> Request<Body> {
    Request::post(path).header("host", "app.test").body(body).unwrap()
}

pub fn empty() -> Body {
    Empty::new().boxed()
}

pub fn full(text: impl Into<Bytes>) -> Body {
    Full::new(text.into()).boxed()
}

/// A body of `count` pieces.
pub fn pieces(piece: Bytes, count: usize) -> Body {
    let frames = (0..count).map(move |_| Ok(Frame::data(piece.clone())));
    BodyExt::boxed(StreamBody::new(futures_util::stream::iter(frames)))
}

pub async fn text(response: Response<Incoming>) -> String {
    let bytes = tokio::time::timeout(LONG, response.into_body().collect());
    String::from_utf8(bytes.await.unwrap().unwrap().to_bytes().to_vec()).unwrap()
}

/// An upstream, and how many connections it has accepted.
pub struct Server {
    pub address: SocketAddr,
    pub accepted: Arc<AtomicUsize>,
}

/// An upstream that answers with what it got: the first line, the headers in order, the body's length,
/// and the trailers.
pub async fn echo() -> Server {
    serve(|request| async move {
        let (parts, body) = request.into_parts();
        let mut told = format!("{} {} {:?}\n", parts.method, parts.uri, parts.version);
        for (name, value) in &parts.headers {
            told.push_str(&format!("{name}: {}\n", value.to_str().unwrap()));
        }
        let collected = body.collect().await?;
        let trailers = collected.trailers().cloned();
        told.push_str(&format!("body {}\n", collected.to_bytes().len()));
        for (name, value) in &trailers.unwrap_or_default() {
            told.push_str(&format!("trailer {name}: {}\n", value.to_str().unwrap()));
        }
        Ok(Response::new(full(told)))
    })
    .await
}

/// An upstream made of a function. An error breaks the connection.
pub async fn serve<F, Fut>(answer: F) -> Server
where
    F: Fn(Request<Incoming>) -> Fut + Clone + Send + Sync + 'static,
    Fut: Future<Output = Result<Response<Body>, hyper::Error>> + Send + 'static,
{
    raw_server(move |stream| {
        let answer = answer.clone();
        async move {
            let service = service_fn(answer);
            let server = hyper::server::conn::http1::Builder::new();
            server.serve_connection(TokioIo::new(stream), service).with_upgrades().await.ok();
        }
    })
    .await
}

/// An upstream that does with each connection what it likes.
pub async fn raw_server<F, Fut>(with: F) -> Server
where
    F: Fn(TcpStream) -> Fut + Send + 'static,
    Fut: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepted = Arc::new(AtomicUsize::new(0));
    let count = accepted.clone();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            stream.set_nodelay(true).unwrap();
            tokio::spawn(with(stream));
        }
    });
    Server { address, accepted }
}

/// Reads a head from a connection.
pub async fn read_head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8(head).unwrap()
}
