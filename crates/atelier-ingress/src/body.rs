//! Bodies in both directions: they pass frame by frame, and nothing is gathered.

use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body, Frame, Incoming, SizeHint};

use crate::line::Line;
use crate::pool::Lease;
use crate::pulse::InFlight;
use crate::upstream::Refusal;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a request on its way to an upstream.
pub(crate) struct RequestBody {
    source: Request,
    sent: Option<Arc<AtomicBool>>,
}

enum Request {
    Empty,
    Incoming(Incoming),
    Boxed(UnsyncBoxBody<Bytes, BoxError>),
}

impl RequestBody {
    pub(crate) fn empty() -> Self {
        Self { source: Request::Empty, sent: None }
    }

    pub(crate) fn incoming(body: Incoming) -> Self {
        Self { source: Request::Incoming(body), sent: None }
    }

    pub(crate) fn boxed(body: UnsyncBoxBody<Bytes, BoxError>) -> Self {
        Self { source: Request::Boxed(body), sent: None }
    }

    /// Becomes true when the body is no longer read from. Nothing, when there is nothing to read.
    pub(crate) fn sent(&mut self) -> Option<Arc<AtomicBool>> {
        if self.is_end_stream() {
            return None;
        }
        let sent = Arc::new(AtomicBool::new(false));
        self.sent = Some(sent.clone());
        Some(sent)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(sent) = &self.sent {
            sent.store(true, Ordering::Release);
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.source {
            Request::Empty => Poll::Ready(None),
            Request::Incoming(body) => {
                Pin::new(body).poll_frame(cx).map(|frame| frame.map(|f| f.map_err(Into::into)))
            }
            Request::Boxed(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Request::Empty => true,
            Request::Incoming(body) => body.is_end_stream(),
            Request::Boxed(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Request::Empty => SizeHint::with_exact(0),
            Request::Incoming(body) => body.size_hint(),
            Request::Boxed(body) => body.size_hint(),
        }
    }
}

/// What lives as long as an answer or an upgraded connection.
#[derive(Default)]
pub(crate) struct Held {
    pub guard: Option<Box<dyn Any + Send>>,
    pub in_flight: Option<InFlight>,
    pub line: Option<Line>,
}

/// The body of an answer of the proxy.
pub struct ProxyBody {
    source: Source,
    held: Held,
}

enum Source {
    Own(Option<Bytes>),
    Upstream { body: Incoming, lease: Option<Lease> },
}

impl std::fmt::Debug for ProxyBody {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ProxyBody").field("ended", &self.is_end_stream()).finish_non_exhaustive()
    }
}

impl ProxyBody {
    pub(crate) fn empty() -> Self {
        Self { source: Source::Own(None), held: Held::default() }
    }

    pub(crate) fn refusal(refusal: Refusal) -> Self {
        let body = Some(refusal.body).filter(|body| !body.is_empty());
        Self { source: Source::Own(body), held: Held::default() }
    }

    /// What an upstream answers. Its connection goes back when the last byte has been taken.
    pub(crate) fn upstream(body: Incoming, lease: Lease, held: Held) -> Self {
        let mut this = Self { source: Source::Upstream { body, lease: Some(lease) }, held };
        this.settle();
        this
    }

    /// Gives the connection back and lets go of the guards, when all has been read.
    fn settle(&mut self) {
        if self.is_end_stream() {
            self.ended();
        }
    }

    fn ended(&mut self) {
        if let Source::Upstream { lease, .. } = &mut self.source
            && let Some(lease) = lease.take()
        {
            lease.give_back();
        }
        self.held.guard = None;
    }
}

impl Body for ProxyBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = match &mut self.source {
            Source::Own(bytes) => return Poll::Ready(bytes.take().map(|b| Ok(Frame::data(b)))),
            Source::Upstream { body, lease: Some(lease) } => ready!(lease.wire.read(body, cx)),
            Source::Upstream { body, lease: None } => ready!(Pin::new(body).poll_frame(cx)),
        };
        match &frame {
            None => self.ended(),
            Some(Ok(_)) => self.settle(),
            Some(Err(error)) => {
                tracing::debug!(%error, "an upstream's answer broke off");
                if let Some(line) = &self.held.line {
                    line.break_off();
                }
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Own(bytes) => bytes.is_none(),
            Source::Upstream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Own(bytes) => {
                SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
            }
            Source::Upstream { body, .. } => body.size_hint(),
        }
    }
}
