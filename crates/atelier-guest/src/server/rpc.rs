//! How calls are read: bodies, envelopes, time limits.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::header::CONTENT_TYPE;
use hyper::{HeaderMap, Request};
use serde::de::DeserializeOwned;

use crate::wire::{Code, ConnectError, Decoder, STREAM_TYPE, UNARY_TYPE};

/// The longest body of a call, in bytes.
const LONGEST: usize = 16 << 20;
/// How often a stream that has nothing to say says so, if the caller does not ask.
const KEEPALIVE: Duration = Duration::from_secs(90);

/// Whether a request has the type that its path is called with.
pub(super) fn has_type(headers: &HeaderMap, streaming: bool) -> bool {
    let expected = if streaming { STREAM_TYPE } else { UNARY_TYPE };
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    value.split(';').next().unwrap_or("").trim().eq_ignore_ascii_case(expected)
}

/// The message of a unary call.
pub(super) async fn unary<T: DeserializeOwned>(body: Incoming) -> Result<T, ConnectError> {
    let bytes = collect(body).await?;
    // A call without fields may have no body at all.
    parse(if bytes.is_empty() { b"{}" } else { &bytes })
}

/// The one message of a call whose response is a stream.
pub(super) async fn single<T: DeserializeOwned>(body: Incoming) -> Result<T, ConnectError> {
    let mut decoder = Decoder::default();
    decoder.push(&collect(body).await?);
    let frame = decoder.next_frame()?;
    parse(&frame.ok_or_else(|| ConnectError::invalid("the request holds no message"))?.message)
}

/// A message's JSON.
pub(super) fn parse<T: DeserializeOwned>(json: &[u8]) -> Result<T, ConnectError> {
    serde_json::from_slice(json)
        .map_err(|error| ConnectError::invalid(format!("the message is not valid: {error}")))
}

async fn collect(body: Incoming) -> Result<Bytes, ConnectError> {
    match Limited::new(body, LONGEST).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) => Err(ConnectError::new(
            Code::ResourceExhausted,
            format!("the request cannot be read: {error}"),
        )),
    }
}

/// How long a call may take; zero is for ever.
pub(super) fn time_limit<T>(request: &Request<T>) -> Result<Option<Duration>, ConnectError> {
    let Some(value) = request.headers().get("connect-timeout-ms") else { return Ok(None) };
    let parsed = value.to_str().ok().and_then(|text| text.parse::<u64>().ok());
    let limit = parsed.ok_or_else(|| ConnectError::invalid("Connect-Timeout-Ms is no number"))?;
    Ok((limit > 0).then(|| Duration::from_millis(limit)))
}

/// How often a stream that has nothing to say says so.
pub(super) fn keepalive(headers: &HeaderMap) -> Duration {
    let asked = headers.get("keepalive-ping-interval").and_then(|value| value.to_str().ok());
    let seconds = asked.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0);
    seconds.map_or(KEEPALIVE, Duration::from_secs)
}
