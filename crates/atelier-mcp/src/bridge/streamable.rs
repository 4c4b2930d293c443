//! The bridge to a server of streamable HTTP: a POST for each message, whose answer is JSON or a stream; a
//! stream of the server's own; resumption, renewal and the end of the session.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::BridgeOptions;
use super::legacy::Older;
use super::message::{Message, answers, one_line, parse_error};
use super::session::Session;
use crate::client::legacy::Legacy;
use crate::error::Result;
use crate::http::words;
use crate::mask::Masks;
use crate::oauth::Permitted;
use crate::sse::{Cut, Events};
use crate::target::shown;

/// How long a message that has no answer may take to be accepted.
const ACCEPTED: Duration = Duration::from_secs(30);
/// How long after a cut a stream is asked for again, and the most of it when the server is away.
const AGAIN: Duration = Duration::from_secs(1);
const AGAIN_MOST: Duration = Duration::from_secs(30);
/// How often in a row a stream of an answer is asked for in vain.
const TRIES: u32 = 5;
/// How much of a refusal is quoted.
const QUOTED: usize = 300;

const SESSION: &str = "mcp-session-id";
const VERSION: &str = "mcp-protocol-version";

/// How the first message fared.
pub(super) enum Outcome {
    /// The agent has its answer.
    Answered,
    /// The server does not know streamable HTTP: the message, and what it says.
    NotThere(Message, String),
}

/// Why a request has no answer.
struct Failure {
    why: String,
    /// The status, where there was one.
    status: Option<StatusCode>,
    /// Whether the server forgot the session that the request named.
    forgotten: bool,
}

/// The connection.
pub(super) struct Streamable {
    http: reqwest::Client,
    url: Url,
    headers: HeaderMap,
    permitted: Option<Permitted>,
    masks: Masks,
    options: BridgeOptions,
    out: mpsc::Sender<String>,
    session: Mutex<Session>,
    renewing: tokio::sync::Mutex<()>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Streamable {
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
        Ok(Self {
            http,
            url,
            headers,
            permitted,
            masks,
            options,
            out,
            session: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
            listener: Mutex::default(),
        })
    }

    /// The same server by the older transport.
    pub(super) async fn older(&self) -> Result<Older> {
        let (http, headers) = (self.http.clone(), self.authorized().await);
        let opening = Legacy::open(http, &self.url, headers, self.options.limits.message);
        let limit = self.options.limits.initialize;
        let opened = tokio::time::timeout(limit, opening).await;
        let opened = opened.unwrap_or_else(|_| {
            let (step, said) = ("the connection", String::new());
            Err(crate::McpError::Silent { step, after: limit, said })
        })?;
        Ok(Older::new(shown(&self.url), opened, self.out.clone()))
    }

    /// How long the end may take.
    pub(super) fn patience(&self) -> Duration {
        self.options.limits.close
    }

    /// The request that a message cancels, if that is done by ending its stream.
    pub(super) fn cancels(&self, message: &Message) -> Option<String> {
        let cancels = message.method() == Some("notifications/cancelled");
        if !cancels || !self.state().is_sessionless(message) {
            return None;
        }
        Some(message.params()?.get("requestId")?.to_string())
    }

    /// The agent's first message, which opens the session.
    pub(super) async fn initialize(&self, message: Message) -> Outcome {
        match self.open(&message).await {
            Ok(answer) => {
                self.state().initialize = Some(message);
                self.pass(&answer).await;
                Outcome::Answered
            }
            Err(Failure { why, status: Some(status), .. }) if may_be_older(status) => {
                Outcome::NotThere(message, why)
            }
            Err(failure) => {
                self.refuse(&message, &failure.why).await;
                Outcome::Answered
            }
        }
    }

    /// Opens a session with the first message; its answer.
    async fn open(&self, message: &Message) -> std::result::Result<String, Failure> {
        let response = self.post(message).await?;
        let id = response.headers().get(SESSION).and_then(|id| id.to_str().ok());
        let id = id.map(ToOwned::to_owned);
        let answer = self.answer(response, message).await?;
        let value: Option<Value> = serde_json::from_str(&answer).ok();
        let version = value.as_ref().and_then(|v| v.pointer("/result/protocolVersion")?.as_str());
        let mut state = self.state();
        (state.id, state.version) = (id, version.map(ToOwned::to_owned));
        state.count += 1;
        Ok(answer)
    }

    /// A request of the agent's, until it is answered.
    pub(super) async fn request(self: Arc<Self>, message: Message) {
        let count = self.state().count;
        let mut answered = self.exchange(&message).await;
        if answered.as_ref().is_err_and(|failure| failure.forgotten) {
            answered = match self.renew(count).await {
                Ok(()) => self.exchange(&message).await,
                Err(failure) => Err(failure),
            };
        }
        match answered {
            Ok(answer) => {
                if message.method() == Some("tools/list")
                    && let Ok(value) = serde_json::from_str(&answer)
                {
                    self.state().promoted.learn(&value);
                }
                self.pass(&answer).await;
            }
            Err(failure) => self.refuse(&message, &failure.why).await,
        }
    }

    /// A notification or an answer of the agent's.
    pub(super) async fn notify(self: &Arc<Self>, message: Message) {
        let first = message.method() == Some("notifications/initialized");
        if first {
            self.state().initialized = Some(message.clone());
        }
        match tokio::time::timeout(ACCEPTED, self.post(&message)).await {
            Ok(Ok(_)) if first => self.listen(),
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => self.note(&failure.why),
            Err(_) => self.note("a notification was not accepted in time"),
        }
    }

    /// Ends the session.
    pub(super) async fn end(&self) {
        if let Some(task) = self.listener().take() {
            task.abort();
        }
        if self.state().id.is_none() {
            return;
        }
        let request = self.with_session(self.http.delete(self.url.clone())).await;
        // A server may not let clients end sessions (405), which is its right.
        let _ = tokio::time::timeout(self.options.limits.close, request.send()).await;
    }

    async fn exchange(&self, message: &Message) -> std::result::Result<String, Failure> {
        let response = self.post(message).await?;
        self.answer(response, message).await
    }

    /// Sends a message. An answer of any other status than success is a failure.
    async fn post(&self, message: &Message) -> std::result::Result<Response, Failure> {
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
    async fn answer(
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
    async fn stream(&self, from: Option<&str>) -> std::result::Result<Events, Failure> {
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

    /// Hears what the server says on its own, as long as the session lives.
    fn listen(self: &Arc<Self>) {
        let own = Arc::downgrade(self);
        let task = tokio::spawn(async move {
            let (mut place, mut pause): (Option<String>, Duration) = (None, AGAIN);
            let mut wait = Duration::ZERO;
            loop {
                tokio::time::sleep(wait).await;
                let Some(this) = own.upgrade() else { return };
                match this.stream(place.as_deref()).await {
                    Ok(mut events) => {
                        while let Ok(event) = events.next().await {
                            place = event.id.or(place);
                            pause = event.retry.unwrap_or(pause);
                            if serde_json::from_str::<Value>(&event.data).is_ok() {
                                this.pass(&event.data).await;
                            }
                        }
                        wait = pause;
                    }
                    // It has none (405), or the session is over.
                    Err(f) if f.status.is_some_and(|s| s.is_client_error()) => return,
                    Err(_) => wait = (wait * 2).clamp(pause, AGAIN_MOST.max(pause)),
                }
            }
        });
        if let Some(before) = self.listener().replace(task) {
            before.abort();
        }
    }

    /// Opens another session in place of the one of this number, as the agent opened the first.
    async fn renew(self: &Arc<Self>, count: u64) -> std::result::Result<(), Failure> {
        let _alone = self.renewing.lock().await;
        let (initialize, initialized) = {
            let state = self.state();
            if state.count != count {
                return Ok(());
            }
            (state.initialize.clone(), state.initialized.clone())
        };
        let Some(initialize) = initialize else { return Ok(()) };
        self.note("the server forgot the session: opening another");
        self.open(&initialize).await?;
        if let Some(initialized) = initialized {
            self.post(&initialized).await?;
            self.listen();
        }
        Ok(())
    }

    async fn with_session(&self, request: RequestBuilder) -> RequestBuilder {
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
    async fn authorized(&self) -> HeaderMap {
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
    async fn pass(&self, text: &str) {
        let _ = self.out.send(one_line(text)).await;
    }

    /// Answers a request in the server's place.
    pub(super) async fn refuse(&self, message: &Message, why: &str) {
        let own =
            serde_json::from_str::<Value>(why).is_ok_and(|value| value.get("error").is_some());
        match message.error(why) {
            Some(_) if own => self.pass(why).await,
            Some(error) => self.pass(&error).await,
            None => self.note(why),
        }
    }

    /// Tells the agent that a line of its was no message.
    pub(super) async fn complain(&self, why: &str) {
        self.pass(&parse_error(why)).await;
    }

    fn note(&self, why: &str) {
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

    fn state(&self) -> MutexGuard<'_, Session> {
        self.session.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn listener(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The statuses by which a server may say that it has only the older transport.
fn may_be_older(status: StatusCode) -> bool {
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
