//! Connections: one for each stream, one for all unary calls.

use std::pin::Pin;
use std::task::{Context, Poll};

use atelier_api::Problem;
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Frame, Incoming};
use hyper::client::conn::http1::{self, SendRequest};
use hyper::upgrade::Upgraded;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::mpsc;

use super::{Guest, GuestError, RawStream};
use crate::wire::{ConnectError, STREAM_TYPE, UNARY_TYPE, json_frame};

/// What is read from a connection at once, in bytes: big files come in few pieces.
const BUFFER: usize = 512 << 10;

pub(super) type Body = BoxBody<Bytes, std::io::Error>;
pub(super) type Connection = SendRequest<Body>;

pub(super) fn body(bytes: impl Into<Bytes>) -> Body {
    Full::new(bytes.into()).map_err(|never| match never {}).boxed()
}

impl Guest {
    /// A connection to the guest's own HTTP port, or to whoever passes its calls on, with nothing
    /// said yet.
    ///
    /// # Errors
    /// `guest.unreachable`.
    pub async fn dial(&self) -> Result<RawStream, GuestError> {
        let unreachable =
            |source| GuestError::Unreachable { address: self.address.to_string(), source };
        self.address.dial().await.map_err(unreachable)
    }

    async fn open(&self) -> Result<Connection, GuestError> {
        let stream = TokioIo::new(self.dial().await?);
        let (sender, connection) = http1::Builder::new()
            .max_buf_size(BUFFER)
            .handshake(stream)
            .await
            .map_err(GuestError::broken)?;
        // It ends when the sender and the response are dropped; a failure reaches whoever waits.
        tokio::spawn(connection.with_upgrades());
        Ok(sender)
    }

    /// Sends a request on a connection of its own.
    pub(super) async fn send(
        &self,
        request: Request<Body>,
    ) -> Result<Response<Incoming>, GuestError> {
        self.open().await?.send_request(request).await.map_err(GuestError::broken)
    }

    /// A unary call, on a connection that an earlier one left behind if there is one. Calls do not
    /// wait for one another: a signal must get through while input waits for its process to read.
    pub(super) async fn unary<I: Serialize, O: DeserializeOwned>(
        &self,
        path: &str,
        message: &I,
    ) -> Result<O, GuestError> {
        let json = Bytes::from(serde_json::to_vec(message).map_err(GuestError::broken)?);
        let mut connection = self.kept_or_new().await?;
        let request = self
            .request("POST", path)
            .header("content-type", UNARY_TYPE)
            .body(body(json))
            .map_err(GuestError::broken)?;
        let response = connection.send_request(request).await.map_err(GuestError::broken)?;
        let status = response.status();
        let bytes = collect(response).await?;
        self.keep(connection);
        if status.is_success() {
            return serde_json::from_slice(&bytes)
                .map_err(|error| GuestError::Unexpected(format!("{path}: {error}")));
        }
        Err(unary_failure(status, &bytes))
    }

    async fn kept_or_new(&self) -> Result<Connection, GuestError> {
        let kept = self.kept.lock().ok().and_then(|mut kept| kept.take());
        if let Some(mut connection) = kept {
            // What the guest closed while it was idle is not usable any more.
            if connection.ready().await.is_ok() {
                return Ok(connection);
            }
        }
        self.open().await
    }

    fn keep(&self, connection: Connection) {
        if let Ok(mut kept) = self.kept.lock() {
            *kept = Some(connection);
        }
    }

    /// Begins a call whose response is a stream.
    pub(super) async fn streaming<I: Serialize>(
        &self,
        path: &str,
        message: &I,
        headers: &[(&str, String)],
    ) -> Result<Response<Incoming>, GuestError> {
        let frame = json_frame(message).map_err(GuestError::broken)?;
        let mut request = self.request("POST", path).header("content-type", STREAM_TYPE);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let request = request.body(body(frame)).map_err(GuestError::broken)?;
        let response = self.send(request).await?;
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        Err(http_failure(status, &collect(response).await?))
    }

    /// `GET` of JSON.
    pub(super) async fn get<O: DeserializeOwned>(&self, path: &str) -> Result<O, GuestError> {
        let request = self.request("GET", path).body(body("")).map_err(GuestError::broken)?;
        let bytes = succeed(self.send(request).await?).await?;
        serde_json::from_slice(&bytes)
            .map_err(|error| GuestError::Unexpected(format!("{path}: {error}")))
    }

    /// Whether the guest answers.
    ///
    /// # Errors
    /// When it cannot be reached, or answers with something else than that it is well.
    pub async fn health(&self) -> Result<(), GuestError> {
        let request = self.request("GET", "/health").body(body("")).map_err(GuestError::broken)?;
        // A new connection, which an earlier one does not vouch for; it serves the next call.
        let mut connection = self.open().await?;
        let response = connection.send_request(request).await.map_err(GuestError::broken)?;
        succeed(response).await?;
        self.keep(connection);
        Ok(())
    }

    /// A raw connection to a TCP port inside the sandbox, on its loopback.
    ///
    /// # Errors
    /// `guest.port_not_open` when nothing listens there.
    pub async fn tunnel(&self, port: u16) -> Result<Tunnel, GuestError> {
        let request = self
            .request("GET", &format!("/tunnel?port={port}"))
            .header("connection", "upgrade")
            .header("upgrade", "tcp")
            .body(body(""))
            .map_err(GuestError::broken)?;
        let response = self.send(request).await?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            let status = response.status();
            return Err(http_failure(status, &collect(response).await?));
        }
        let upgraded = hyper::upgrade::on(response).await.map_err(GuestError::broken)?;
        Ok(Tunnel(TokioIo::new(upgraded)))
    }
}

/// A whole body.
pub(super) async fn collect(response: Response<Incoming>) -> Result<Bytes, GuestError> {
    Ok(response.into_body().collect().await.map_err(GuestError::broken)?.to_bytes())
}

/// The body of a plain HTTP response, or its failure.
pub(super) async fn succeed(response: Response<Incoming>) -> Result<Bytes, GuestError> {
    let status = response.status();
    let bytes = collect(response).await?;
    if status.is_success() { Ok(bytes) } else { Err(http_failure(status, &bytes)) }
}

/// What a unary call said when it failed.
fn unary_failure(status: StatusCode, body: &[u8]) -> GuestError {
    if serde_json::from_slice::<Problem>(body).is_ok() {
        return http_failure(status, body);
    }
    serde_json::from_slice(body).map_or_else(|_| http_failure(status, body), GuestError::Refused)
}

/// What a plain HTTP path said when it failed, or whoever should have passed the call on.
pub(super) fn http_failure(status: StatusCode, body: &[u8]) -> GuestError {
    if let Ok(problem) = serde_json::from_slice::<Problem>(body) {
        return GuestError::Problem(Box::new(problem));
    }
    #[derive(serde::Deserialize)]
    struct Said {
        message: String,
    }
    let said = serde_json::from_slice::<Said>(body).map(|said| said.message);
    let message = said.unwrap_or_else(|_| String::from_utf8_lossy(body).into_owned());
    GuestError::Http { status: status.as_u16(), message }
}

/// A body whose pieces come from somewhere else.
pub(super) struct Blocks<F> {
    first: Option<Bytes>,
    pieces: mpsc::Receiver<std::io::Result<Bytes>>,
    each: F,
}

impl Blocks<fn(Bytes) -> std::io::Result<Bytes>> {
    /// The pieces as they are.
    pub(super) fn new(pieces: mpsc::Receiver<std::io::Result<Bytes>>) -> Self {
        Self { first: None, pieces, each: Ok }
    }
}

impl<F> Blocks<F> {
    /// The same with something before the first piece.
    pub(super) fn begun_with(mut self, first: Bytes) -> Self {
        self.first = Some(first);
        self
    }

    /// The same with something else made of each piece.
    pub(super) fn each<G: FnMut(Bytes) -> std::io::Result<Bytes>>(self, each: G) -> Blocks<G> {
        Blocks { first: self.first, pieces: self.pieces, each }
    }
}

impl<F: FnMut(Bytes) -> std::io::Result<Bytes> + Unpin> hyper::body::Body for Blocks<F> {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let piece = std::task::ready!(this.pieces.poll_recv(context));
        Poll::Ready(piece.map(|piece| piece.and_then(&mut this.each).map(Frame::data)))
    }
}

impl From<ConnectError> for GuestError {
    fn from(error: ConnectError) -> Self {
        Self::Refused(error)
    }
}

/// A raw connection to a port inside a sandbox.
#[derive(Debug)]
pub struct Tunnel(TokioIo<Upgraded>);

impl AsyncRead for Tunnel {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_read(context, into)
    }
}

impl AsyncWrite for Tunnel {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[std::io::IoSlice<'_>],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.get_mut().0).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.0.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.get_mut().0).poll_shutdown(context)
    }
}
