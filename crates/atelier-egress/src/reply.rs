//! Answers that are ours: why a request does not get through.

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::{Response, StatusCode};

/// The server's body, or ours.
pub(crate) type Body = Either<Incoming, Full<Bytes>>;

/// An answer with a sentence.
pub(crate) fn reply(status: StatusCode, why: &str) -> Response<Body> {
    let mut reply = Response::new(Either::Right(Full::new(format!("atelier: {why}\n").into())));
    *reply.status_mut() = status;
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    reply.headers_mut().insert(CONTENT_TYPE, plain);
    reply
}
