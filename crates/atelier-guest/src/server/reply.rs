//! Bodies of responses, and the few shapes that every path answers in.

use std::io::{self, Read};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;
use tokio::sync::mpsc;

use crate::wire::{ConnectError, STREAM_TYPE, UNARY_TYPE, end_frame};

/// Bytes of a file that are read at once.
const BLOCK: usize = 64 << 10;

/// The body of a response.
pub(super) enum Reply {
    /// Bytes that are there.
    Whole(Bytes),
    /// Messages of a stream.
    Stream(mpsc::Receiver<Bytes>),
    /// What a file holds: as many bytes as were promised, or all there are.
    File(Box<dyn Read>, Option<u64>),
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
            Self::File(file, left) => Poll::Ready(
                block(file.as_mut(), left).map(|block| block.map(Frame::data)).transpose(),
            ),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(bytes) => bytes.is_empty(),
            Self::File(_, left) => *left == Some(0),
            Self::Stream(_) => false,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Self::File(_, Some(left)) => SizeHint::with_exact(*left),
            _ => SizeHint::default(),
        }
    }
}

fn block(file: &mut dyn Read, left: &mut Option<u64>) -> io::Result<Option<Bytes>> {
    let want = left.map_or(BLOCK, |left| usize::try_from(left).unwrap_or(BLOCK).min(BLOCK));
    if want == 0 {
        return Ok(None);
    }
    let mut bytes = vec![0; want];
    let read = match file.read(&mut bytes) {
        Ok(read) => read,
        // A device that has nothing to say now.
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        Err(error) => return Err(error),
    };
    bytes.truncate(read);
    if let Some(left) = left {
        if read == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the file was cut short"));
        }
        *left -= read as u64;
    }
    Ok((read > 0).then(|| bytes.into()))
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
