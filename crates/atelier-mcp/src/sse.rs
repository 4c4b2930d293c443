//! Server-sent events, as far as MCP uses them (HTML standard, section 9.2).

use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};

/// One event.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Event {
    /// Its kind; empty is `message`.
    pub(crate) kind: String,
    /// What it says.
    pub(crate) data: String,
    /// The place in the stream, to go on from.
    pub(crate) id: Option<String>,
    /// How long to wait before going on.
    pub(crate) retry: Option<Duration>,
}

/// Why a stream ended.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server ended it.
    End,
    /// The connection broke: what was said of it.
    Broken(String),
    /// An event was longer than allowed.
    TooLong,
}

/// A stream of events.
pub(crate) struct Events {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<Bytes>> + Send>>,
    buffer: Vec<u8>,
    longest: usize,
}

impl Events {
    /// Those of a response.
    pub(crate) fn new(response: reqwest::Response, longest: usize) -> Self {
        Self::of(response.bytes_stream(), longest)
    }

    fn of(
        bytes: impl Stream<Item = reqwest::Result<Bytes>> + Send + 'static,
        longest: usize,
    ) -> Self {
        Self { bytes: Box::pin(bytes), buffer: Vec::new(), longest }
    }

    /// The next event. May be dropped while it waits: nothing is lost.
    pub(crate) async fn next(&mut self) -> Result<Event, Cut> {
        let mut searched = 0;
        loop {
            if let Some((end, after)) = blank_line(&self.buffer, searched) {
                let event = parse(&String::from_utf8_lossy(&self.buffer[..end]));
                self.buffer.drain(..after);
                return Ok(event);
            }
            if self.buffer.len() > self.longest {
                return Err(Cut::TooLong);
            }
            // A blank line may begin in what is here and end in what comes.
            searched = self.buffer.len().saturating_sub(3);
            match self.bytes.next().await {
                Some(Ok(bytes)) => self.buffer.extend_from_slice(&bytes),
                Some(Err(error)) => return Err(Cut::Broken(crate::http::words(&error))),
                None => return Err(Cut::End),
            }
        }
    }
}

/// Where the first event ends, and where the next one begins.
fn blank_line(buffer: &[u8], from: usize) -> Option<(usize, usize)> {
    let mut at = from;
    while let Some(next) = buffer.get(at..)?.iter().position(|b| matches!(b, b'\n' | b'\r')) {
        let end = at + next;
        let rest = &buffer[end..];
        for pair in [b"\r\n\r\n".as_slice(), b"\n\n", b"\r\r"] {
            if rest.starts_with(pair) {
                return Some((end, end + pair.len()));
            }
        }
        at = end + 1;
    }
    None
}

fn parse(text: &str) -> Event {
    let mut event = Event::default();
    let mut data: Vec<&str> = Vec::new();
    for line in text.trim_start_matches('\u{feff}').split(['\n', '\r']) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.kind = value.to_owned(),
            "data" => data.push(value),
            "id" if !value.contains('\0') => event.id = Some(value.to_owned()),
            "retry" => event.retry = value.parse().ok().map(Duration::from_millis),
            // Comments (an empty field) and what is not known.
            _ => {}
        }
    }
    event.data = data.join("\n");
    event
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(chunks: &[&'static str], longest: usize) -> (Vec<Event>, Cut) {
        let chunks: Vec<_> = chunks.iter().map(|c| Ok(Bytes::from_static(c.as_bytes()))).collect();
        let mut events = Events::of(futures_util::stream::iter(chunks), longest);
        let mut found = Vec::new();
        loop {
            match events.next().await {
                Ok(event) => found.push(event),
                Err(cut) => return (found, cut),
            }
        }
    }

    #[tokio::test]
    async fn events_are_whole_however_they_arrive() {
        let (events, cut) = all(
            &[
                "event: endpoint\r",
                "\ndata: /a\r\n\r",
                "\n: ping\n\ndata: 1\ndata:2\nid: 7\nretry: 5",
                "\n\nda",
            ],
            100,
        )
        .await;
        assert_eq!(events.len(), 3, "{events:?}");
        assert_eq!((events[0].kind.as_str(), events[0].data.as_str()), ("endpoint", "/a"));
        assert_eq!(events[1], Event::default());
        assert_eq!((events[2].data.as_str(), events[2].id.as_deref()), ("1\n2", Some("7")));
        assert_eq!(events[2].retry, Some(Duration::from_millis(5)));
        assert_eq!(cut, Cut::End);
    }

    #[tokio::test]
    async fn an_event_without_end_is_not_kept_whole() {
        let (events, cut) =
            all(&["data: 1\n\ndata: ", "xxxxxxxxxxxxxxxxxxxxxxxxxxxx", "y"], 20).await;
        assert_eq!((events.len(), cut), (1, Cut::TooLong));
    }
}
