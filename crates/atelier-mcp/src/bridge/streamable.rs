//! The bridge to a server of streamable HTTP: its session, from the first message to its end, and another one
//! when the server forgot it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::legacy::Older;
use super::message::{Message, parse_error};
use super::wire::{AGAIN, AGAIN_MOST, Failure, SESSION, Wire, may_be_older};
use crate::client::legacy::Legacy;
use crate::error::Result;
use crate::target::shown;

/// How long a message that has no answer may take to be accepted.
const ACCEPTED: Duration = Duration::from_secs(30);
/// How the first message fared.
pub(super) enum Outcome {
    /// The agent has its answer.
    Answered,
    /// The server does not know streamable HTTP: the message, and what it says.
    NotThere(Message, String),
}

/// The connection.
pub(super) struct Streamable {
    wire: Wire,
    renewing: tokio::sync::Mutex<()>,
    listener: Mutex<Option<JoinHandle<()>>>,
}

impl Streamable {
    pub(super) fn new(wire: Wire) -> Self {
        Self { wire, renewing: tokio::sync::Mutex::default(), listener: Mutex::default() }
    }

    /// The same server by the older transport.
    pub(super) async fn older(&self) -> Result<Older> {
        let (http, headers) = (self.wire.http.clone(), self.wire.authorized().await);
        let opening = Legacy::open(http, &self.wire.url, headers, self.wire.options.limits.message);
        let limit = self.wire.options.limits.initialize;
        let opened = tokio::time::timeout(limit, opening).await;
        let opened = opened.unwrap_or_else(|_| {
            let (step, said) = ("the connection", String::new());
            Err(crate::McpError::Silent { step, after: limit, said })
        })?;
        Ok(Older::new(shown(&self.wire.url), opened, self.wire.out.clone()))
    }

    /// How long the end may take.
    pub(super) fn patience(&self) -> Duration {
        self.wire.options.limits.close
    }

    /// The request that a message cancels, if that is done by ending its stream.
    pub(super) fn cancels(&self, message: &Message) -> Option<String> {
        let cancels = message.method() == Some("notifications/cancelled");
        if !cancels || !self.wire.state().is_sessionless(message) {
            return None;
        }
        Some(message.params()?.get("requestId")?.to_string())
    }

    /// The agent's first message, which opens the session.
    pub(super) async fn initialize(&self, message: Message) -> Outcome {
        match self.open(&message).await {
            Ok(answer) => {
                self.wire.state().initialize = Some(message);
                self.wire.pass(&answer).await;
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
        let response = self.wire.post(message).await?;
        let id = response.headers().get(SESSION).and_then(|id| id.to_str().ok());
        let id = id.map(ToOwned::to_owned);
        let answer = self.wire.answer(response, message).await?;
        let value: Option<Value> = serde_json::from_str(&answer).ok();
        let version = value.as_ref().and_then(|v| v.pointer("/result/protocolVersion")?.as_str());
        let mut state = self.wire.state();
        (state.id, state.version) = (id, version.map(ToOwned::to_owned));
        state.count += 1;
        Ok(answer)
    }

    /// A request of the agent's, until it is answered.
    pub(super) async fn request(self: Arc<Self>, message: Message) {
        let count = self.wire.state().count;
        let mut answered = self.wire.exchange(&message).await;
        if answered.as_ref().is_err_and(|failure| failure.forgotten) {
            answered = match self.renew(count).await {
                Ok(()) => self.wire.exchange(&message).await,
                Err(failure) => Err(failure),
            };
        }
        match answered {
            Ok(answer) => {
                if message.method() == Some("tools/list")
                    && let Ok(value) = serde_json::from_str(&answer)
                {
                    self.wire.state().promoted.learn(&value);
                }
                self.wire.pass(&answer).await;
            }
            Err(failure) => self.refuse(&message, &failure.why).await,
        }
    }

    /// A notification or an answer of the agent's.
    pub(super) async fn notify(self: &Arc<Self>, message: Message) {
        let first = message.method() == Some("notifications/initialized");
        if first {
            self.wire.state().initialized = Some(message.clone());
        }
        match tokio::time::timeout(ACCEPTED, self.wire.post(&message)).await {
            Ok(Ok(_)) if first => self.listen(),
            Ok(Ok(_)) => {}
            Ok(Err(failure)) => self.wire.note(&failure.why),
            Err(_) => self.wire.note("a notification was not accepted in time"),
        }
    }

    /// Ends the session.
    pub(super) async fn end(&self) {
        if let Some(task) = self.listener().take() {
            task.abort();
        }
        if self.wire.state().id.is_none() {
            return;
        }
        let request = self.wire.with_session(self.wire.http.delete(self.wire.url.clone())).await;
        // A server may not let clients end sessions (405), which is its right.
        let _ = tokio::time::timeout(self.wire.options.limits.close, request.send()).await;
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
                match this.wire.stream(place.as_deref()).await {
                    Ok(mut events) => {
                        while let Ok(event) = events.next().await {
                            place = event.id.or(place);
                            pause = event.retry.unwrap_or(pause);
                            if serde_json::from_str::<Value>(&event.data).is_ok() {
                                this.wire.pass(&event.data).await;
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
            let state = self.wire.state();
            if state.count != count {
                return Ok(());
            }
            (state.initialize.clone(), state.initialized.clone())
        };
        let Some(initialize) = initialize else { return Ok(()) };
        self.wire.note("the server forgot the session: opening another");
        self.open(&initialize).await?;
        if let Some(initialized) = initialized {
            self.wire.post(&initialized).await?;
            self.listen();
        }
        Ok(())
    }

    /// Answers a request in the server's place.
    pub(super) async fn refuse(&self, message: &Message, why: &str) {
        let own =
            serde_json::from_str::<Value>(why).is_ok_and(|value| value.get("error").is_some());
        match message.error(why) {
            Some(_) if own => self.wire.pass(why).await,
            Some(error) => self.wire.pass(&error).await,
            None => self.wire.note(why),
        }
    }

    /// Tells the agent that a line of its was no message.
    pub(super) async fn complain(&self, why: &str) {
        self.wire.pass(&parse_error(why)).await;
    }

    fn listener(&self) -> MutexGuard<'_, Option<JoinHandle<()>>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
