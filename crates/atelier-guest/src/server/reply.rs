//! Bodies of responses, and the few shapes that every path answers in.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use super::file_body::FileBody;
use crate::wire::{ConnectError, STREAM_TYPE, UNARY_TYPE, end_frame};

/// The body of a response.
pub(super) enum Reply {
    /// Bytes that are there.
    Whole(Bytes),
    /// Messages of a stream.
    Stream(mpsc::Receiver<Bytes>),
    /// What a file holds.
    File(FileBody),
}

impl Body for Reply {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Whole(bytes) if bytes.is_empty() => Poll::Ready(None),
            Self::Whole(bytes) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(bytes))))),
            Self::Stream(messages) => {
                messages.poll_recv(context).map(|message| message.map(|it| Ok(Frame::data(it))))
            }
            Self::File(file) => {
                Poll::Ready(file.next().map(|block| block.map(Frame::data)).transpose())
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::File(file) => file.left() == Some(0),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(file) => file.left().map(SizeHint::with_exact).unwrap_or_default(),
            Self::Stream(_) => SizeHint::default(),
        }
    }
}

/// A response with a status, a type and bytes.
pub(super) fn whole(
    status: StatusCode,
    kind: &'static str,
    bytes: impl Into<Bytes>,
) -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(bytes.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}

/// 204.
pub(super) fn nothing() -> Response<Reply> {
    let mut response = Response::new(Reply::Whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// A value as JSON.
pub(super) fn json<T: Serialize>(status: StatusCode, value: &T) -> Response<Reply> {
    match serde_json::to_vec(value) {
        Ok(json) => whole(status, UNARY_TYPE, json),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// A failure of a plain HTTP path.
pub(super) fn problem(status: StatusCode, message: &str) -> Response<Reply> {
    let body = serde_json::json!({ "code": status.as_u16(), "message": message });
    whole(status, UNARY_TYPE, body.to_string())
}

/// A failure of a unary call.
pub(super) fn failed(error: &ConnectError) -> Response<Reply> {
    let status =
        StatusCode::from_u16(error.code.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    json(status, error)
}

/// A failure of a streaming call before its first message.
pub(super) fn failed_stream(error: &ConnectError) -> Response<Reply> {
    whole(StatusCode::OK, STREAM_TYPE, end_frame(Some(error)))
}

/// A stream of messages.
pub(super) fn stream(messages: mpsc::Receiver<Bytes>) -> Response<Reply> {
    let mut response = Response::new(Reply::Stream(messages));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(STREAM_TYPE));
    response
}
