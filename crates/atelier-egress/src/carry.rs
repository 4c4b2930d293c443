//! Both ends of a connection joined: what the sandbox asks is sent on, with the protocol that the
//! server speaks.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use hyper::body::Incoming;
use hyper::client::conn::{http1 as client1, http2 as client2};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Mutex, Notify};

use crate::connection::Context;
use crate::exchange::{Server, forward};
use crate::reply::reply;

/// How much of a stream of HTTP/2 may be under way: as much as a fast line of 50 ms carries.
const STREAM_WINDOW: u32 = 1 << 20;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 4 << 20;
/// All headers of a message.
const HEADERS: u32 = 64 << 10;

/// A stream of bytes.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

/// A connection of HTTP/1: one request after the other.
struct First {
    sender: Mutex<client1::SendRequest<Incoming>>,
    /// Requests that have no answer yet.
    waiting: AtomicUsize,
    /// What was HTTP is something else now.
    upgraded: AtomicBool,
    answered: Notify,
}

impl First {
    fn new(sender: client1::SendRequest<Incoming>) -> Self {
        let (waiting, upgraded) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { sender: Mutex::new(sender), waiting, upgraded, answered: Notify::new() }
    }

    async fn ask(&self, request: Request<Incoming>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.sender.lock().await;
        sender.ready().await?;
        let answer = sender.send_request(request);
        drop(sender);
        answer.await
    }

    /// Whether nothing comes from the server any more, when its side has ended.
    fn is_over(&self) -> bool {
        self.waiting.load(Ordering::Relaxed) == 0 && !self.upgraded.load(Ordering::Relaxed)
    }
}

impl Server for First {
    async fn send(&self, request: Request<Incoming>) -> hyper::Result<Response<Incoming>> {
        self.waiting.fetch_add(1, Ordering::Relaxed);
        let answer = self.ask(request).await;
        let switched = |answer: &Response<_>| answer.status() == StatusCode::SWITCHING_PROTOCOLS;
        if answer.as_ref().is_ok_and(switched) {
            self.upgraded.store(true, Ordering::Relaxed);
        }
        self.waiting.fetch_sub(1, Ordering::Relaxed);
        self.answered.notify_one();
        answer
    }
}

struct Second(client2::SendRequest<Incoming>);

impl Server for Second {
    async fn send(&self, request: Request<Incoming>) -> hyper::Result<Response<Incoming>> {
        let mut sender = self.0.clone();
        sender.ready().await?;
        sender.send_request(request).await
    }
}

/// HTTP/1 on both sides, until one of them closes.
pub(crate) async fn first(
    context: &Context,
    sandbox: impl Stream,
    server: impl Stream,
) -> hyper::Result<()> {
    let (sender, far) = client1::Builder::new()
        .preserve_header_case(true)
        .handshake::<_, Incoming>(TokioIo::new(server))
        .await?;
    let sender = First::new(sender);
    let service = service_fn(|request| forward(context, &sender, request));
    let near = http1::Builder::new()
        .preserve_header_case(true)
        .half_close(true)
        .auto_date_header(false)
        .serve_connection(TokioIo::new(sandbox), service)
        .with_upgrades();
    let (mut near, mut far) = (pin!(near), pin!(far.with_upgrades()));
    let mut there = true;
    loop {
        tokio::select! {
            done = &mut near => return done,
            _ = &mut far, if there => there = false,
            () = sender.answered.notified(), if !there => {}
        }
        // A server that closes a quiet connection is a server that closes; one that answers and closes, or
        // goes on in another protocol, is heard first.
        if !there && sender.is_over() {
            near.as_mut().graceful_shutdown();
        }
    }
}

/// HTTP/2 on both sides, until one of them closes.
pub(crate) async fn second(
    context: &Context,
    sandbox: impl Stream,
    server: impl Stream,
) -> hyper::Result<()> {
    let (sender, far) = client2::Builder::new(TokioExecutor::new())
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADERS)
        .handshake::<_, Incoming>(TokioIo::new(server))
        .await?;
    let sender = Second(sender);
    let (context, sender) = (context.clone(), Arc::new(sender));
    let service = service_fn(move |request| {
        let (context, sender) = (context.clone(), sender.clone());
        async move { forward(&context, &*sender, request).await }
    });
    let near = http2::Builder::new(TokioExecutor::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_header_list_size(HEADERS)
        .serve_connection(TokioIo::new(sandbox), service);
    let (mut near, mut far) = (pin!(near), pin!(far));
    let mut there = true;
    loop {
        tokio::select! {
            done = &mut near => return done,
            _ = &mut far, if there => {
                there = false;
                near.as_mut().graceful_shutdown();
            }
        }
    }
}

/// Answers every request with why none gets through.
pub(crate) async fn refuse(sandbox: impl Stream, two: bool, why: &str) -> hyper::Result<()> {
    let why = why.to_owned();
    let service = service_fn(move |_: Request<Incoming>| {
        let answer = reply(StatusCode::BAD_GATEWAY, &why);
        async move { Ok::<_, Infallible>(answer) }
    });
    let sandbox = TokioIo::new(sandbox);
    if two {
        http2::Builder::new(TokioExecutor::new()).serve_connection(sandbox, service).await
    } else {
        http1::Builder::new().keep_alive(false).serve_connection(sandbox, service).await
    }
}
