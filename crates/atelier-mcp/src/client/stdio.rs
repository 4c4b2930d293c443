//! The transport to a program: lines of JSON, and a record of what went wrong with them.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::RoleClient;
use rmcp::model::{ClientJsonRpcMessage, ServerJsonRpcMessage};
use rmcp::transport::Transport;
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{ChildStdin, ChildStdout};

use crate::child::Pipes;
use crate::limits::Limits;
use crate::lines::{Line, Lines};
use crate::mask::Masks;

/// How much of a line is quoted.
const QUOTED: usize = 200;

/// Why a transport ended by itself.
#[derive(Debug, Clone)]
pub(crate) enum Trouble {
    /// What is no message, the first of it.
    Garbage(String),
    /// More than allowed.
    TooMuch(String),
    /// A message that the protocol does not know.
    Protocol(String),
    /// The connection.
    Lost(String),
}

/// Where it is noted for those who wait for an answer.
#[derive(Clone, Default)]
pub(crate) struct Troubles(Arc<Mutex<Noted>>);

#[derive(Default)]
struct Noted {
    fatal: Option<Trouble>,
    noise: Option<String>,
}

impl Troubles {
    pub(crate) fn note(&self, trouble: Trouble) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.fatal.get_or_insert(trouble);
    }

    fn noise(&self, line: &str) {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        noted.noise.get_or_insert_with(|| line.to_owned());
    }

    /// What ended the conversation.
    pub(crate) fn fatal(&self) -> Option<Trouble> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).fatal.clone()
    }

    /// The first line that was no message, though it ended nothing.
    pub(crate) fn first_noise(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).noise.clone()
    }
}

/// The transport.
pub(crate) struct Stdio {
    lines: Lines<ChildStdout>,
    input: Arc<tokio::sync::Mutex<Option<ChildStdin>>>,
    ready: VecDeque<ServerJsonRpcMessage>,
    troubles: Troubles,
    masks: Masks,
    limits: Limits,
    bytes: usize,
    noise: usize,
}

impl Stdio {
    pub(crate) fn new(pipes: Pipes, limits: &Limits, masks: &Masks, troubles: &Troubles) -> Self {
        Self {
            lines: Lines::new(pipes.output, limits.message),
            input: Arc::new(tokio::sync::Mutex::new(Some(pipes.input))),
            ready: VecDeque::new(),
            troubles: troubles.clone(),
            masks: masks.clone(),
            limits: limits.clone(),
            bytes: 0,
            noise: 0,
        }
    }

    /// Takes a line; `false` ends the conversation.
    fn take(&mut self, line: &[u8]) -> bool {
        self.bytes = self.bytes.saturating_add(line.len() + 1);
        if self.bytes > self.limits.output {
            let most = self.limits.output;
            self.troubles.note(Trouble::TooMuch(format!("more than {most} bytes in all")));
            return false;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            return true;
        }
        let taken = match serde_json::from_slice(line) {
            Ok(Value::Array(batch)) => batch.into_iter().try_for_each(|one| self.message(one)),
            Ok(one) => self.message(one),
            Err(_) => Err(Trouble::Garbage(String::new())),
        };
        match taken {
            Ok(()) => true,
            Err(Trouble::Garbage(_)) => self.pass_over(line),
            Err(trouble) => {
                self.troubles.note(trouble);
                false
            }
        }
    }

    fn message(&mut self, value: Value) -> Result<(), Trouble> {
        if value.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
            return Err(Trouble::Garbage(String::new()));
        }
        match parse(value) {
            Ok(Some(message)) => self.ready.push_back(message),
            Ok(None) => {}
            Err(why) => return Err(Trouble::Protocol(self.masks.clean(&why))),
        }
        Ok(())
    }

    /// A line that is no message. A few are forgiven, because many servers greet.
    fn pass_over(&mut self, line: &[u8]) -> bool {
        let shown: String = String::from_utf8_lossy(line).chars().take(QUOTED).collect();
        let shown = self.masks.clean(&shown);
        self.troubles.noise(&shown);
        self.noise += 1;
        if self.noise > self.limits.noise {
            let first = self.troubles.first_noise().unwrap_or(shown);
            self.troubles.note(Trouble::Garbage(first));
            return false;
        }
        true
    }
}

/// A message of the SDK's; none for a notification that nobody knows.
pub(crate) fn parse(value: Value) -> Result<Option<ServerJsonRpcMessage>, String> {
    let notification = value.get("id").is_none() && value.get("method").is_some();
    match serde_json::from_value(value) {
        Ok(message) => Ok(Some(message)),
        Err(_) if notification => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

impl Transport<RoleClient> for Stdio {
    type Error = io::Error;

    fn send(
        &mut self,
        item: ClientJsonRpcMessage,
    ) -> impl Future<Output = io::Result<()>> + Send + 'static {
        let input = self.input.clone();
        async move {
            let mut bytes = serde_json::to_vec(&item)?;
            bytes.push(b'\n');
            match input.lock().await.as_mut() {
                Some(pipe) => pipe.write_all(&bytes).await,
                None => Err(io::ErrorKind::NotConnected.into()),
            }
        }
    }

    async fn receive(&mut self) -> Option<ServerJsonRpcMessage> {
        loop {
            if let Some(message) = self.ready.pop_front() {
                return Some(message);
            }
            match self.lines.next().await {
                Line::Whole(line) if self.take(&line) => {}
                Line::Whole(_) | Line::End => return None,
                Line::TooLong => {
                    let most = self.limits.message;
                    let what = format!("a line of more than {most} bytes");
                    self.troubles.note(Trouble::TooMuch(what));
                    return None;
                }
            }
        }
    }

    async fn close(&mut self) -> io::Result<()> {
        self.input.lock().await.take();
        Ok(())
    }
}
