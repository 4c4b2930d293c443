//! One exchange over streamable HTTP: a POST for a message, whose answer is JSON or a stream, and streams that go
//! on after a cut. What a session is for is not known here.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::mpsc;

use super::BridgeOptions;
use super::message::{Message, answers, one_line};
use super::session::Session;
use crate::error::Result;
use crate::http::words;
use crate::mask::Masks;
use crate::oauth::Permitted;
use crate::sse::{Cut, Events};
use crate::target::shown;

/// How long after a cut a stream is asked for again, and the most of it when the server is away.
pub(super) const AGAIN: Duration = Duration::from_secs(1);
pub(super) const AGAIN_MOST: Duration = Duration::from_secs(30);
/// How often in a row a stream of an answer is asked for in vain.
const TRIES: u32 = 5;
/// How much of a refusal is quoted.
const QUOTED: usize = 300;

pub(super) const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// Why a request has no answer.
pub(super) struct Failure {
    pub(super) why: String,
    /// The status, where there was one.
    pub(super) status: Option<StatusCode>,
    /// Whether the server forgot the session that the request named.
    pub(super) forgotten: bool,
}

/// The way to the server and back to the agent.
pub(super) struct Wire {
    pub(super) http: reqwest::Client,
    pub(super) url: Url,
    headers: HeaderMap,
    permitted: Option<Permitted>,
    masks: Masks,
    pub(super) options: BridgeOptions,
    pub(super) out: mpsc::Sender<String>,
    session: Mutex<Session>,
}

impl Wire {
    pub(super) async fn new(
        url: Url,
        headers: HeaderMap,
        masks: Masks,
        out: mpsc::Sender<String>,
        options: &BridgeOptions,
    ) -> Result<Self> {
        let http = crate::http::client(&url)?;
        let permitted = match &options.oauth {
            Some(oauth) => Some(oauth.client(&url, &http).await?),
            None => None,
        };
        let options = options.clone();
        Ok(Self { http, url, headers, permitted, masks, options, out, session: Mutex::default() })
    }

    pub(super) async fn exchange(&self, message: &Message) -> std::result::Result<String, Failure> {
        let response = self.post(message).await?;
        self.answer(response, message).await
    }

    /// Sends a message. An answer of any other status than success is a failure.
    pub(super) async fn post(&self, message: &Message) -> std::result::Result<Response, Failure> {
        let mut request = self.http.post(self.url.clone()).headers(self.authorized().await);
        request = request.header(ACCEPT, "application/json, text/event-stream");
        request = request.header(CONTENT_TYPE, "application/json");
        let mut in_session = false;
        // The first message names neither, also when it is said again.
        if message.method() != Some("initialize") {
            let state = self.state();
            if let Some(version) = state.version_of(message) {
                request = request.header(VERSION, version);
            }
            if state.is_sessionless(message) {
                request = request.headers(state.promoted.headers(message));
            } else if let Some(id) = &state.id {
                request = request.header(SESSION, id);
                in_session = true;
            }
        }
        let sent = request.body(message.text.clone()).send().await;
        let response = sent.map_err(|e| self.broken(&words(&e)))?;
        match response.status() {
            status if status.is_success() => Ok(response),
            status => {
                let failure = self.refused(response, message).await;
                let forgotten = in_session && status == StatusCode::NOT_FOUND;
                Err(Failure { forgotten, ..failure })
            }
        }
    }

    /// What a refusal says. One that is a message of the protocol is passed on as it is.
    async fn refused(&self, response: Response, message: &Message) -> Failure {
        let status = response.status();
        let place = response.headers().get("location").and_then(|v| v.to_str().ok());
        let place = place.map(|place| self.masks.clean(place));
        let body = self.body(response).await.unwrap_or_default();
        let id = message.request_id();
        let answers_it = |v: &Value| id.as_ref().is_some_and(|id| answers(v, id));
        let own = serde_json::from_str::<Value>(&body).ok().filter(|v| v.get("error").is_some());
        if own.as_ref().is_some_and(answers_it) && !may_be_older(status) {
            return Failure { why: body, status: None, forgotten: false };
        }
        let said = own.as_ref().and_then(|v| v.pointer("/error/message")?.as_str());
        let said: String = said.unwrap_or(&body).chars().take(QUOTED).collect();
        let said = self.masks.clean(said.trim());
        let server = shown(&self.url);
        let number = status.as_u16();
        let why = match (status, place) {
            (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => {
                format!("{server} refuses the credentials that it was given (HTTP {number})")
            }
            (_, Some(place)) => format!("{server} has moved: HTTP {number} to {place}"),
            _ if said.is_empty() => format!("{server} answers HTTP {number}"),
            _ => format!("{server} answers HTTP {number}: {said}"),
        };
        Failure { why, status: Some(status), forgotten: false }
    }

    /// The answer that a response brings, at once or in a stream.
    pub(super) async fn answer(
        &self,
        response: Response,
        message: &Message,
    ) -> std::result::Result<String, Failure> {
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        if kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            let events = Events::new(response, self.options.limits.message);
            let id = message.request_id().unwrap_or_default();
            return self.follow(events, &id).await;
        }
        let body = self.body(response).await.map_err(|why| self.broken(&why))?;
        match serde_json::from_str::<Value>(&body) {
            Ok(_) => Ok(body),
            Err(_) => Err(self.broken("its answer is no JSON")),
        }
    }

    async fn body(&self, mut response: Response) -> std::result::Result<String, String> {
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| words(&e))? {
            body.extend_from_slice(&chunk);
            if body.len() > self.options.limits.message {
                return Err("its answer is longer than allowed".into());
            }
        }
        String::from_utf8(body).map_err(|_| "its answer is no UTF-8".into())
    }

    /// Passes on what a stream brings until the answer comes, and asks for the stream again when it was
    /// cut at a place that has a name.
    async fn follow(&self, mut events: Events, id: &str) -> std::result::Result<String, Failure> {
        let (mut place, mut pause): (Option<String>, Duration) = (None, AGAIN);
        loop {
            match events.next().await {
                Ok(event) => {
                    place = event.id.or(place);
                    pause = event.retry.unwrap_or(pause);
                    if event.data.trim().is_empty() {
                        continue;
                    }
                    match serde_json::from_str::<Value>(&event.data) {
                        Ok(value) if answers(&value, id) => return Ok(event.data),
                        Ok(_) => self.pass(&event.data).await,
                        Err(_) => self.note("an event that is no JSON"),
                    }
                }
                Err(Cut::TooLong) => return Err(self.broken("an event was longer than allowed")),
                Err(cut) => {
                    let Some(from) = &place else { return Err(self.broken(&cut_words(&cut))) };
                    events = self.resume(from, pause).await?;
                }
            }
        }
    }

    async fn resume(&self, from: &str, pause: Duration) -> std::result::Result<Events, Failure> {
        let mut why = String::new();
        for attempt in 0..TRIES {
            tokio::time::sleep((pause * 2_u32.pow(attempt)).min(AGAIN_MOST.max(pause))).await;
            match self.stream(Some(from)).await {
                Ok(events) => return Ok(events),
                Err(failure) if failure.status.is_some_and(|s| s.is_client_error()) => {
                    return Err(failure);
                }
                Err(failure) => why = failure.why,
            }
        }
        Err(Failure { why, status: None, forgotten: false })
    }

    /// A stream of the server's: its own, or one that goes on at a place.
    pub(super) async fn stream(&self, from: Option<&str>) -> std::result::Result<Events, Failure> {
        let mut request = self.with_session(self.http.get(self.url.clone())).await;
        request = request.header(ACCEPT, "text/event-stream");
        if let Some(place) = from.and_then(|place| HeaderValue::try_from(place).ok()) {
            request = request.header("last-event-id", place);
        }
        let response = request.send().await.map_err(|e| self.broken(&words(&e)))?;
        let status = response.status();
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        if status.is_success() && kind.is_some_and(|kind| kind.starts_with("text/event-stream")) {
            return Ok(Events::new(response, self.options.limits.message));
        }
        let why = format!("{} answers HTTP {}", shown(&self.url), status.as_u16());
        Err(Failure { why, status: Some(status), forgotten: false })
    }

    pub(super) async fn with_session(&self, request: RequestBuilder) -> RequestBuilder {
        let mut request = request.headers(self.authorized().await);
        let state = self.state();
        if let Some(id) = &state.id {
            request = request.header(SESSION, id);
        }
        if let Some(version) = &state.version {
            request = request.header(VERSION, version);
        }
        request
    }

    /// The caller's headers, and the stored permission, which renews itself.
    pub(super) async fn authorized(&self) -> HeaderMap {
        let mut headers = self.headers.clone();
        if let Some(permitted) = &self.permitted
            && let Ok(token) = permitted.get_access_token().await
            && let Ok(mut value) = HeaderValue::try_from(format!("Bearer {token}"))
        {
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        headers
    }

    /// Passes a message on to the agent.
    pub(super) async fn pass(&self, text: &str) {
        let _ = self.out.send(one_line(text)).await;
    }

    pub(super) fn note(&self, why: &str) {
        if let Some(note) = &self.options.note {
            note(&self.masks.clean(why));
        }
    }

    fn broken(&self, why: &str) -> Failure {
        let why = self.masks.clean(why);
        Failure {
            why: format!("{} cannot be reached: {why}", shown(&self.url)),
            status: None,
            forgotten: false,
        }
    }

    pub(super) fn state(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The statuses by which a server may say that it has only the older transport.
pub(super) fn may_be_older(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::BAD_REQUEST | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
    )
}

fn cut_words(cut: &Cut) -> String {
    match cut {
        Cut::Broken(why) => why.clone(),
        _ => "it ended the stream before its answer".into(),
    }
}
