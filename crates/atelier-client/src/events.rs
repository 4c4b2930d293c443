//! The stream of events (`text/event-stream`, HTML standard section 9.2).

use atelier_api::API_ROOT;
use atelier_api::session::{EVENTS_PATH, Event};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::Request;
use hyper::body::Incoming;
use hyper::header::ACCEPT;

use crate::client::lost;
use crate::{Client, ClientError};

/// Events as they happen, until the control plane stops.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    buffer: Vec<u8>,
    data: String,
}

impl Client {
    /// Follows the events.
    ///
    /// # Errors
    /// As [`Client::call`].
    pub async fn events(&self) -> Result<Events, ClientError> {
        let builder = Request::builder().uri(format!("{API_ROOT}{EVENTS_PATH}"));
        let builder = builder.header(ACCEPT, "text/event-stream");
        let (sender, response) = self.send(builder, Full::new(Bytes::new())).await?;
        if !response.status().is_success() {
            return Err(self.refused(sender, response).await);
        }
        Ok(Events { body: response.into_body(), buffer: Vec::new(), data: String::new() })
    }
}

impl Events {
    /// The next event; `None` when the control plane has closed the stream.
    ///
    /// # Errors
    /// [`ClientError::Lost`] or [`ClientError::Protocol`].
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        loop {
            while let Some(line) = take_line(&mut self.buffer) {
                if let Some(event) = self.line(&line)? {
                    return Ok(Some(event));
                }
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(bytes) = frame.map_err(|e| lost(&e))?.into_data() {
                        self.buffer.extend_from_slice(&bytes);
                    }
                }
            }
        }
    }

    /// Takes one line; an empty one ends an event. Fields other than `data` say nothing new.
    fn line(&mut self, line: &str) -> Result<Option<Event>, ClientError> {
        if let Some(data) = line.strip_prefix("data:") {
            if !self.data.is_empty() {
                self.data.push('\n');
            }
            self.data.push_str(data.strip_prefix(' ').unwrap_or(data));
        }
        if !line.is_empty() || self.data.is_empty() {
            return Ok(None);
        }
        let data = std::mem::take(&mut self.data);
        let event = serde_json::from_str(&data);
        event.map(Some).map_err(|e| ClientError::Protocol(format!("an event: {e}")))
    }
}

/// Takes the first whole line, without its end.
fn take_line(buffer: &mut Vec<u8>) -> Option<String> {
    let end = buffer.iter().position(|b| *b == b'\n')?;
    let line: Vec<u8> = buffer.drain(..=end).collect();
    let line = line.strip_suffix(b"\n").unwrap_or(&line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    Some(String::from_utf8_lossy(line).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_taken_when_they_are_whole() {
        let mut buffer = b"data: a\r\n\ndat".to_vec();
        assert_eq!(take_line(&mut buffer).as_deref(), Some("data: a"));
        assert_eq!(take_line(&mut buffer).as_deref(), Some(""));
        assert_eq!(take_line(&mut buffer), None);
        assert_eq!(buffer, b"dat");
    }
}
