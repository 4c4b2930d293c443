//! One client's connection: which HTTP it speaks, its requests, and its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use crate::body::{ProxyBody, RequestBody};
use crate::framing::Watched;
use crate::line::{Line, Resettable};
use crate::options::Options;
use crate::proxy::{Client, Ingress, Peer, answer};
use crate::pulse::{InFlight, Pulse};
use crate::tls::TlsConfig;
use crate::tunnel::Life;
use crate::upstream::Refusal;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// What a connection needs beside its bytes.
#[derive(Clone)]
pub(crate) struct Setting {
    pub ingress: Arc<Ingress>,
    pub address: SocketAddr,
    /// No new requests from then on.
    pub stop: CancellationToken,
    pub life: Life,
}

/// Serves a connection until it ends.
pub(crate) async fn serve(setting: Setting, stream: TcpStream, tls: Option<Arc<TlsConfig>>) {
    let wait = setting.ingress.options.head_time;
    let stream = Resettable::new(stream);
    let line = stream.line();
    let Some(tls) = tls else {
        match setting.before_requests(wait, speaks_http2(&stream)).await {
            Some(Ok(true)) => http2(setting, stream, false).await,
            Some(Ok(false)) => http1(setting, stream, line, false).await,
            _ => {}
        }
        return;
    };
    match setting.before_requests(wait, tls.accept(stream)).await {
        Some(Ok(stream)) if stream.get_ref().1.alpn_protocol() == Some(b"h2") => {
            http2(setting, stream, true).await;
        }
        Some(Ok(stream)) => http1(setting, stream, line, true).await,
        Some(Err(error)) => tracing::debug!(%error, address = %setting.address, "no TLS"),
        None => {}
    }
}

impl Setting {
    /// What a client does before its first request, unless it takes too long or a stop comes first.
    async fn before_requests<T>(
        &self,
        limit: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        tokio::select! {
            done = work => Some(done),
            () = self.stop.cancelled() => None,
            () = self.life.end.cancelled() => None,
            () = tokio::time::sleep(limit) => None,
        }
    }
}

/// Whether the client opens with the preface of HTTP/2. Nothing is taken from the stream.
async fn speaks_http2(stream: &Resettable) -> std::io::Result<bool> {
    let mut start = [0; PREFACE.len()];
    loop {
        let read = stream.peek(&mut start).await?;
        if read == PREFACE.len() || read == 0 || start[..read] != PREFACE[..read] {
            return Ok(read == PREFACE.len() && start == PREFACE);
        }
        // There is no telling when more than what can be peeked at has come.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

async fn http1<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    setting: Setting,
    stream: S,
    line: Line,
    tls: bool,
) {
    let pulse = Pulse::new();
    let io = TokioIo::new(Watched::new(stream, pulse.clone()));
    let options = setting.ingress.options.clone();
    let own = (setting.clone(), pulse.clone(), line);
    let service = service_fn(move |request| {
        let (setting, pulse, line) = own.clone();
        let answer = async move { request_of(&setting, &pulse, Some(line), request, tls).await };
        async move { Ok::<_, Infallible>(answer.await) }
    });
    let connection = http1::Builder::new()
        .header_read_timeout(None)
        .max_header_size(options.head_size)
        .max_buf_size((options.head_size * 2).max(16 << 10))
        .serve_connection(io, service)
        .with_upgrades();
    drive(connection, &setting, &options, &pulse).await;
}

async fn http2<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    setting: Setting,
    stream: S,
    tls: bool,
) {
    let pulse = Pulse::new();
    let options = setting.ingress.options.clone();
    let own = (setting.clone(), pulse.clone());
    let service = service_fn(move |request| {
        let (setting, pulse) = own.clone();
        async move { Ok::<_, Infallible>(request_of(&setting, &pulse, None, request, tls).await) }
    });
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(256)
        .initial_stream_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_send_buf_size(256 << 10)
        .max_header_list_size(u32::try_from(options.head_size).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .serve_connection(TokioIo::new(stream), service);
    drive(connection, &setting, &options, &pulse).await;
}

async fn request_of(
    setting: &Setting,
    pulse: &Arc<Pulse>,
    line: Option<Line>,
    request: Request<Incoming>,
    tls: bool,
) -> Response<ProxyBody> {
    if pulse.is_ambiguous() {
        return last(Refusal::text(
            StatusCode::BAD_REQUEST,
            "the request has both Content-Length and Transfer-Encoding",
        ));
    }
    let client = Client {
        peer: Peer { address: setting.address, tls },
        in_flight: Some(InFlight::begin(pulse)),
        line,
        life: setting.life.clone(),
    };
    let (parts, body) = request.into_parts();
    setting.ingress.pass(&parts, RequestBody::incoming(body), client).await
}

/// A refusal after which the connection is of no use.
fn last(refusal: Refusal) -> Response<ProxyBody> {
    let mut response = answer(refusal);
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

/// A connection that can be told to end after what it is doing.
trait Graceful: Future<Output = hyper::Result<()>> {
    fn finish(self: Pin<&mut Self>);
}

impl<S, F> Graceful for http1::UpgradeableConnection<TokioIo<Watched<S>>, F>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: hyper::service::HttpService<Incoming, ResBody = ProxyBody>,
    F::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

impl<S, F> Graceful for http2::Connection<TokioIo<S>, F, TokioExecutor>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    F: hyper::service::HttpService<Incoming, ResBody = ProxyBody>,
    F::Future: Send + 'static,
    F::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn finish(self: Pin<&mut Self>) {
        self.graceful_shutdown();
    }
}

/// Runs a connection until it ends, or until it has to.
async fn drive(connection: impl Graceful, setting: &Setting, options: &Options, pulse: &Pulse) {
    let mut connection = std::pin::pin!(connection);
    let tick = (options.head_time / 4).clamp(Duration::from_millis(20), Duration::from_secs(3));
    let mut rest = Rest { beats: None, since: Instant::now() };
    let mut stopped = false;
    loop {
        tokio::select! {
            biased;
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, address = %setting.address, "a client's connection ended");
                }
                return;
            }
            () = setting.life.end.cancelled() => return,
            () = setting.stop.cancelled(), if !stopped => {
                stopped = true;
                connection.as_mut().finish();
            }
            () = tokio::time::sleep(tick) => {
                if pulse.head_age().is_some_and(|age| age > options.head_time) {
                    tracing::debug!(address = %setting.address, "a client took too long for a head");
                    return;
                }
                if rest.longer_than(options.client_idle, pulse) {
                    connection.as_mut().finish();
                }
            }
        }
    }
}

/// How long nothing has been asked.
struct Rest {
    beats: Option<u32>,
    since: Instant,
}

impl Rest {
    fn longer_than(&mut self, limit: Duration, pulse: &Pulse) -> bool {
        let beats = pulse.at_rest();
        if beats.is_none() || beats != self.beats {
            (self.beats, self.since) = (beats, Instant::now());
        }
        beats.is_some() && self.since.elapsed() >= limit
    }
}
