//! How a client's connection ends when an answer on it breaks off: by a reset. Whoever reads sees a
//! connection that failed, not an answer that is malformed.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Whether an answer on a connection broke off. In a request's extensions, it is that of the connection
/// which the request came over.
#[derive(Debug, Clone, Default)]
pub struct Line(Arc<AtomicBool>);

impl Line {
    pub(crate) fn break_off(&self) {
        self.0.store(true, Ordering::Release);
    }
}

/// A TCP connection that is reset at its end when its line says so.
#[derive(Debug)]
pub struct Resettable {
    stream: TcpStream,
    line: Line,
}

impl Resettable {
    /// A connection with a line of its own.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, line: Line::default() }
    }

    /// What has come and was not taken yet.
    pub(crate) async fn peek(&self, start: &mut [u8]) -> io::Result<usize> {
        self.stream.peek(start).await
    }

    /// Its line.
    pub fn line(&self) -> Line {
        self.line.clone()
    }
}

impl Drop for Resettable {
    fn drop(&mut self) {
        if !self.line.0.load(Ordering::Acquire) {
            return;
        }
        if let Err(error) = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO)) {
            tracing::debug!(%error, "a connection is closed instead of reset");
        }
    }
}

impl AsyncRead for Resettable {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Resettable {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
