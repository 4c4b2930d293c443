//! The client: connects to a server of any kind, looks at what it offers, calls its tools.
//!
//! What must not be here: what a transport or a login is made of.

mod answers;
mod connect;
mod handler;
mod inspect;
pub(crate) mod legacy;
pub(crate) mod stdio;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use reqwest::Url;
use rmcp::RoleClient;
use rmcp::model::CallToolRequestParams;
use rmcp::service::{RunningService, ServiceError};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::child::Child;
use crate::error::{McpError, Result};
use crate::limits::Limits;
use crate::mask::Masks;
use crate::oauth::{OAuth, Permitted};
use crate::target::Target;
use answers::Witness;
use handler::Handler;

pub use handler::{Answer, Ask, defaults_of};
pub use inspect::{Inspection, OfferedPrompt, OfferedResource, OfferedTool};

/// How often a user is asked for one step.
const LOGINS: usize = 3;

/// How client and server agree on a protocol.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Handshake {
    /// By `initialize`, and without one where the server knows none.
    #[default]
    Either,
    /// By `initialize` (revisions up to 2025-11-25).
    Initialize,
    /// By `server/discover`, with no session (since revision 2026-07-28).
    Discover,
}

/// Answers a server's questions to the user.
pub type Asker = Arc<dyn Fn(Ask) -> BoxFuture<'static, Answer> + Send + Sync>;

/// How a conversation is held.
#[derive(Clone, Default)]
pub struct ClientOptions {
    /// Its limits.
    pub limits: Limits,
    /// What must not be in any message of ours, besides the target's headers.
    pub secrets: Vec<String>,
    /// How the protocol is agreed on.
    pub handshake: Handshake,
    /// Who answers the server's questions (elicitation); without, we say that we take none.
    pub ask: Option<Asker>,
    /// How permissions are had where the server wants them.
    pub oauth: Option<OAuth>,
}

/// What a tool answered.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Called {
    /// Whether the tool says that it failed.
    pub failed: bool,
    /// Its texts, joined.
    pub text: String,
    /// What it says for programs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub structured: Option<Value>,
    /// All of its content, as the protocol has it.
    pub content: Vec<Value>,
}

/// A connection to a server.
pub struct Client {
    service: RunningService<RoleClient, Handler>,
    child: Option<Child>,
    witness: Witness,
    limits: Limits,
    masks: Masks,
    /// From the start to an agreed protocol.
    initialize: Duration,
    login: Option<Login>,
}

/// How a user's permission is had, and the HTTP client that has it.
#[derive(Clone)]
struct Login {
    oauth: OAuth,
    client: Permitted,
    url: Url,
}

/// Connects, lists what the server offers, and ends the conversation.
///
/// # Errors
/// [`McpError`], whose text quotes what the server said last.
pub async fn inspect(target: &Target, options: &ClientOptions) -> Result<Inspection> {
    let mut client = Client::connect(target, options).await?;
    let found = client.inspect().await;
    client.close().await;
    found
}

/// Connects, calls a tool, and ends the conversation.
///
/// # Errors
/// [`McpError`]; that a tool failed is none.
pub async fn call(
    target: &Target,
    tool: &str,
    arguments: Value,
    options: &ClientOptions,
) -> Result<Called> {
    let mut client = Client::connect(target, options).await?;
    let called = client.call(tool, arguments).await;
    client.close().await;
    called
}

impl Client {
    /// Starts or reaches the server, and agrees with it on a protocol.
    ///
    /// # Errors
    /// [`McpError`]: it cannot be started or reached, does not answer, or wants a permission.
    pub async fn connect(target: &Target, options: &ClientOptions) -> Result<Self> {
        connect::connect(target, options).await
    }

    /// What the server is and offers.
    ///
    /// # Errors
    /// [`McpError`].
    pub async fn inspect(&mut self) -> Result<Inspection> {
        inspect::inspect(self).await
    }

    /// Calls a tool.
    ///
    /// # Errors
    /// [`McpError`]; that the tool failed is none.
    pub async fn call(&mut self, tool: &str, arguments: Value) -> Result<Called> {
        let mut params = CallToolRequestParams::new(tool.to_owned());
        params.arguments = match arguments {
            Value::Object(map) => Some(map),
            Value::Null => None,
            _ => {
                let why = "a tool's arguments must be a JSON object".to_owned();
                return Err(McpError::Target { why });
            }
        };
        let asked = async || self.service.call_tool(params.clone()).await;
        answers::called(self.asked("the call", self.limits.call, asked).await?)
    }

    /// Ends the conversation, and the server's program.
    pub async fn close(mut self) {
        let closing = self.service.close_with_timeout(self.limits.close);
        // A server that does not listen any more is ended all the same.
        let _ = closing.await;
        if let Some(child) = self.child.take() {
            child.end().await;
        }
    }

    /// Asks the server, and the user for what the server wants to be permitted first.
    async fn asked<T>(
        &self,
        step: &'static str,
        limit: Duration,
        ask: impl AsyncFn() -> std::result::Result<T, ServiceError>,
    ) -> Result<T> {
        for _ in 0..LOGINS {
            match (self.within(step, limit, ask()).await, &self.login) {
                (Err(McpError::Unauthorized { challenge, .. }), Some(login)) => {
                    login.permit(&challenge).await?;
                }
                (done, _) => return done,
            }
        }
        self.within(step, limit, ask()).await
    }

    /// Waits for an answer, and says what is wrong when there is none.
    async fn within<T>(
        &self,
        step: &'static str,
        limit: Duration,
        answer: impl Future<Output = std::result::Result<T, ServiceError>>,
    ) -> Result<T> {
        match tokio::time::timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.witness.explain_service(step, &error, &self.masks).await),
            Err(_) => Err(self.witness.silent(step, limit).await),
        }
    }
}

impl Login {
    /// Asks the user for what the server wants.
    async fn permit(&self, challenge: &str) -> Result<()> {
        self.oauth.permit(&self.url, &self.client, challenge).await
    }
}
