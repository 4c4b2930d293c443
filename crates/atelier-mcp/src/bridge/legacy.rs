//! The bridge to a server of the older transport: one stream for all answers. When it breaks, so does the
//! session, for nothing in that revision can go on with it.

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::mpsc;

use super::message::{Message, answers, one_line};
use crate::client::legacy::{Legacy, Poster};
use crate::error::McpError;
use crate::sse::{Cut, Events};

/// The connection.
pub(super) struct Older {
    server: String,
    poster: Poster,
    events: Events,
    out: mpsc::Sender<String>,
    waiting: HashMap<String, Message>,
}

impl Older {
    pub(super) fn new(server: String, legacy: Legacy, out: mpsc::Sender<String>) -> Self {
        let (poster, events) = legacy.split();
        Self { server, poster, events, out, waiting: HashMap::new() }
    }

    /// Sends a message of the agent's.
    pub(super) async fn send(&mut self, message: Message) {
        let sent = self.poster.post(message.text.clone().into_bytes()).await;
        match (sent, message.request_id()) {
            (Ok(()), Some(id)) => {
                self.waiting.insert(id, message);
            }
            (Err(why), _) => self.refuse(&message, &why).await,
            (Ok(()), None) => {}
        }
    }

    /// Passes the server's messages on, until its stream breaks.
    pub(super) async fn lost(&mut self) -> McpError {
        let why = loop {
            match self.events.next().await {
                Ok(event) if event.data.is_empty() => {}
                Ok(event) => self.pass(&event.data).await,
                Err(Cut::End) => break "it ended the stream".to_owned(),
                Err(Cut::Broken(why)) => break why,
                Err(Cut::TooLong) => break "a message was longer than allowed".to_owned(),
            }
        };
        for message in std::mem::take(&mut self.waiting).into_values() {
            self.refuse(&message, &why).await;
        }
        McpError::Unreachable { server: self.server.clone(), why }
    }

    /// Waits for the answers that are still due.
    pub(super) async fn drain(&mut self, patience: Duration) {
        let answered = async {
            while !self.waiting.is_empty() {
                match self.events.next().await {
                    Ok(event) if event.data.is_empty() => {}
                    Ok(event) => self.pass(&event.data).await,
                    Err(_) => return,
                }
            }
        };
        let _ = tokio::time::timeout(patience, answered).await;
    }

    async fn pass(&mut self, text: &str) {
        if let Ok(value) = serde_json::from_str::<Value>(text) {
            self.waiting.retain(|id, _| !answers(&value, id));
            let _ = self.out.send(one_line(text)).await;
        }
    }

    /// Answers in the server's place. Takes all of itself, for a stream cannot be shared by threads.
    async fn refuse(&mut self, message: &Message, why: &str) {
        if let Some(error) = message.error(&format!("{} cannot be reached: {why}", self.server)) {
            let _ = self.out.send(error).await;
        }
    }
}
