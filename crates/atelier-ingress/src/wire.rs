//! One HTTP/1.1 connection to an upstream. It has no task of its own: whoever waits for an answer, or reads
//! its body, drives it. That spares two switches between tasks for each request. Only a connection whose
//! two directions must go on independently is given a task.

use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll, Waker};

use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::TrySendError;
use hyper::client::conn::http1::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

use crate::body::RequestBody;
use crate::relay::Relay;
use crate::upstream::Stream;

type Work = Pin<Box<dyn Future<Output = hyper::Result<()>> + Send>>;
type Unsent = TrySendError<Request<RequestBody>>;

pub(crate) struct Wire {
    sender: SendRequest<RequestBody>,
    driven: Driven,
}

impl Wire {
    pub(crate) async fn open(stream: Box<dyn Stream>, head_size: usize) -> hyper::Result<Self> {
        let (sender, connection) = http1::Builder::new()
            .max_header_size(head_size)
            // As clients write them by hand: not every server reads names in lower case.
            .title_case_headers(true)
            .handshake(TokioIo::new(stream))
            .await?;
        let work: Work = Box::pin(connection.with_upgrades());
        Ok(Self { sender, driven: Driven { work: Some(work), relay: Relay::new() } })
    }

    /// The head of the answer to a request.
    pub(crate) async fn send(
        &mut self,
        mut request: Request<RequestBody>,
    ) -> Result<Response<Incoming>, Unsent> {
        let sent = request.body_mut().sent();
        let mut answer = pin!(self.sender.try_send_request(request));
        let driven = &mut self.driven;
        let response = poll_fn(|cx| driven.until(cx, |cx| answer.as_mut().poll(cx))).await?;
        // The rest of an upload must not wait for somebody to read the answer.
        if sent.is_some_and(|sent| !sent.load(Ordering::Acquire)) {
            self.leave();
        }
        Ok(response)
    }

    /// The next frame of the body of an answer that came on this connection.
    pub(crate) fn read(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<bytes::Bytes>>>> {
        self.driven.until(cx, |cx| Pin::new(&mut *body).poll_frame(cx))
    }

    /// Gives the connection a task.
    pub(crate) fn leave(&mut self) {
        if let Some(work) = self.driven.work.take() {
            tokio::spawn(async move { ended(work.await) });
        }
    }

    /// Whether the upstream has closed it. Only for one that is not in use.
    pub(crate) fn is_closed(&mut self) -> bool {
        self.driven.advance(&mut Context::from_waker(Waker::noop()));
        self.sender.is_closed()
    }

    /// Whether the last request and its answer are through.
    pub(crate) fn is_ready(&self) -> bool {
        self.sender.is_ready()
    }
}

/// What moves the bytes.
struct Driven {
    /// Nothing, when it has ended or a task has it.
    work: Option<Work>,
    relay: Arc<Relay>,
}

impl Driven {
    /// Polls for something that the work brings about, and the work when there is nothing yet.
    fn until<T>(
        &mut self,
        cx: &mut Context<'_>,
        mut wanted: impl FnMut(&mut Context<'_>) -> Poll<T>,
    ) -> Poll<T> {
        if self.work.is_none() {
            return wanted(cx);
        }
        let relay = self.relay.clone();
        relay.poll(cx, |cx| {
            if let Poll::Ready(found) = wanted(cx) {
                return Poll::Ready(found);
            }
            self.advance(cx);
            wanted(cx)
        })
    }

    /// Moves bytes, as far as it goes without waiting.
    fn advance(&mut self, cx: &mut Context<'_>) {
        if let Some(work) = &mut self.work
            && let Poll::Ready(result) = work.as_mut().poll(cx)
        {
            ended(result);
            self.work = None;
        }
    }
}

fn ended(result: hyper::Result<()>) {
    if let Err(error) = result {
        tracing::debug!(%error, "a connection to an upstream ended");
    }
}
