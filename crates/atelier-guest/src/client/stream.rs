//! The messages of a call whose response is a stream.

use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::GuestError;
use crate::wire::{ConnectError, Decoder, END_STREAM};

/// A response that is a stream of messages.
#[derive(Debug)]
pub(super) struct Messages {
    body: Incoming,
    decoder: Decoder,
    done: bool,
}

#[derive(Deserialize)]
struct EndOfStream {
    error: Option<ConnectError>,
}

impl Messages {
    pub(super) fn new(body: Incoming) -> Self {
        Self { body, decoder: Decoder::default(), done: false }
    }

    /// The next message; none after the last, which is the stream's end or an error.
    pub(super) async fn next<T: DeserializeOwned>(&mut self) -> Option<Result<T, GuestError>> {
        if self.done {
            return None;
        }
        let next = self.read().await;
        self.done = !matches!(next, Ok(Some(_)));
        next.transpose()
    }

    async fn read<T: DeserializeOwned>(&mut self) -> Result<Option<T>, GuestError> {
        loop {
            if let Some(frame) = self.decoder.next_frame()? {
                if frame.flags & END_STREAM != 0 {
                    let end: EndOfStream = parse(&frame.message)?;
                    return end.error.map_or(Ok(None), |error| Err(error.into()));
                }
                return parse(&frame.message).map(Some);
            }
            match self.body.frame().await {
                Some(frame) => {
                    if let Ok(data) = frame.map_err(GuestError::broken)?.into_data() {
                        self.decoder.push(&data);
                    }
                }
                None => return Err(GuestError::broken("the stream stopped before its end")),
            }
        }
    }
}

fn parse<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, GuestError> {
    serde_json::from_slice(json).map_err(|error| GuestError::Unexpected(error.to_string()))
}
