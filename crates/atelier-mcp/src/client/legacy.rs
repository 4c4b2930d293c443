//! The older transport (HTTP with server-sent events, revision 2024-11-05): one stream that says where to
//! post, and brings every answer.

use std::time::Duration;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderMap};
use reqwest::{StatusCode, Url};
use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;

use crate::client::stdio::{Trouble, Troubles, parse};
use crate::error::{McpError, Result};
use crate::mask::Masks;
use crate::sse::{Cut, Event, Events};
use crate::target::shown;

/// How long a message may take to be accepted.
const POST: Duration = Duration::from_secs(30);

/// A connection of the older transport.
pub(crate) struct Legacy {
    http: reqwest::Client,
    headers: HeaderMap,
    endpoint: Url,
    events: Events,
}

/// What sends messages to the server.
#[derive(Clone)]
pub(crate) struct Poster {
    http: reqwest::Client,
    headers: HeaderMap,
    endpoint: Url,
}

impl Legacy {
    /// Opens the stream, and waits until it says where to post.
    pub(crate) async fn open(
        http: reqwest::Client,
        url: &Url,
        headers: HeaderMap,
        longest: usize,
    ) -> Result<Self> {
        let request = http.get(url.clone()).headers(headers.clone());
        let sent = request.header(ACCEPT, "text/event-stream").send().await;
        let response = sent.map_err(|e| unreachable(url, crate::http::words(&e)))?;
        let status = response.status();
        if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
            return Err(unauthorized(url, response.headers()));
        }
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let stream = kind.is_some_and(|kind| kind.starts_with("text/event-stream"));
        if !status.is_success() || !stream {
            let why = format!("it answers HTTP {} instead of a stream of events", status.as_u16());
            return Err(unreachable(url, why));
        }
        let mut events = Events::new(response, longest);
        let endpoint = endpoint(url, &mut events).await?;
        Ok(Self { http, headers, endpoint, events })
    }

    /// Its two halves.
    pub(crate) fn split(self) -> (Poster, Events) {
        (Poster { http: self.http, headers: self.headers, endpoint: self.endpoint }, self.events)
    }
}

/// Where to post: what the first event says. On the server's own origin only, as the specification
/// wants it, so that no headers go elsewhere.
async fn endpoint(url: &Url, events: &mut Events) -> Result<Url> {
    let wrong = |why: &str| McpError::Protocol { step: "the connection", why: why.to_owned() };
    let event = loop {
        match events.next().await {
            Ok(event) if event.kind == "endpoint" => break event,
            // Comments, which keep a connection alive.
            Ok(event) if event == Event::default() => {}
            _ => return Err(wrong("its stream does not begin with where to post")),
        }
    };
    let found = url.join(event.data.trim());
    let found = found.map_err(|_| wrong("where to post is no URL"))?;
    if found.origin() != url.origin() {
        return Err(wrong("it wants messages posted to another server"));
    }
    Ok(found)
}

fn unreachable(url: &Url, why: String) -> McpError {
    McpError::Unreachable { server: shown(url), why }
}

/// That it wants a permission, with what it says of it.
pub(crate) fn unauthorized(url: &Url, headers: &HeaderMap) -> McpError {
    let challenge = headers.get(reqwest::header::WWW_AUTHENTICATE).and_then(|v| v.to_str().ok());
    McpError::Unauthorized {
        server: shown(url),
        challenge: challenge.unwrap_or_default().to_owned(),
    }
}

impl Poster {
    /// Sends a message.
    pub(crate) async fn post(&self, body: Vec<u8>) -> std::result::Result<(), String> {
        let request = self.http.post(self.endpoint.clone()).headers(self.headers.clone());
        let request = request.header(CONTENT_TYPE, "application/json").timeout(POST);
        match request.body(body).send().await {
            Ok(response) if response.status().is_success() => Ok(()),
            Ok(response) => Err(format!("it answers HTTP {}", response.status().as_u16())),
            Err(error) => Err(crate::http::words(&error)),
        }
    }
}

/// The same for the SDK.
pub(crate) struct LegacyTransport {
    poster: Poster,
    events: Events,
    troubles: Troubles,
    masks: Masks,
}

impl LegacyTransport {
    pub(crate) fn new(legacy: Legacy, masks: &Masks, troubles: &Troubles) -> Self {
        let (poster, events) = legacy.split();
        Self { poster, events, troubles: troubles.clone(), masks: masks.clone() }
    }
}

impl Transport<RoleClient> for LegacyTransport {
    type Error = std::io::Error;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = std::io::Result<()>> + Send + 'static {
        let poster = self.poster.clone();
        async move { poster.post(serde_json::to_vec(&item)?).await.map_err(std::io::Error::other) }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            let trouble = match self.events.next().await {
                Ok(event) if event.data.is_empty() => continue,
                Ok(event) => match serde_json::from_str(&event.data).map(parse) {
                    Ok(Ok(Some(message))) => return Some(message),
                    Ok(Ok(None)) => continue,
                    Ok(Err(why)) => Trouble::Protocol(self.masks.clean(&why)),
                    Err(error) => Trouble::Protocol(error.to_string()),
                },
                Err(Cut::End) => Trouble::Lost("the server ended the stream".into()),
                Err(Cut::Broken(why)) => Trouble::Lost(why),
                Err(Cut::TooLong) => Trouble::TooMuch("a message longer than allowed".into()),
            };
            self.troubles.note(trouble);
            return None;
        }
    }

    async fn close(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
