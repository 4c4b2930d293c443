//! What the SDK's results and failures mean.

use std::time::Duration;

use rmcp::model::CallToolResult;
use rmcp::service::{ClientInitializeError, ServiceError};
use rmcp::transport::DynamicTransportError;
use rmcp::transport::streamable_http_client::{
    AuthRequiredError, InsufficientScopeError, StreamableHttpError,
};
use serde_json::Value;

use crate::child::{Child, Tail};
use crate::client::Called;
use crate::client::stdio::{Trouble, Troubles};
use crate::error::{McpError, Result};
use crate::http::words;
use crate::mask::Masks;

/// How long a dying program has to leave its exit status and its last words.
const LAST_WORDS: Duration = Duration::from_millis(500);

/// What is said of a connection that ended by itself.
const ENDED: &str = "it ended the connection";

/// What there is to quote when a server fails.
#[derive(Clone)]
pub(crate) struct Witness {
    /// Its name.
    pub(crate) server: String,
    /// What its transport noted.
    pub(crate) troubles: Troubles,
    /// What its program says.
    pub(crate) said: Option<Tail>,
}

impl Witness {
    /// No answer in time.
    pub(crate) async fn silent(&self, step: &'static str, after: Duration) -> McpError {
        McpError::Silent { step, after, said: self.said().await }
    }

    /// A connection that did not come to be.
    pub(crate) async fn explain_start(
        &self,
        error: ClientInitializeError,
        child: Option<&mut Child>,
        masks: &Masks,
    ) -> McpError {
        let step = "initialize";
        if let Some(error) = self.noted(step).await {
            return error;
        }
        if let Some(challenge) = error.auth_challenge() {
            return self.unauthorized(challenge);
        }
        if error.is_authorization_required() {
            return self.unauthorized("");
        }
        match &error {
            ClientInitializeError::JsonRpcError(data) => {
                McpError::Refused { step, code: data.code.0, message: masks.clean(&data.message) }
            }
            ClientInitializeError::TransportError { error, .. } => {
                self.lost(step, masks.clean(&sent(error)), child).await
            }
            ClientInitializeError::ConnectionClosed(_) => {
                self.lost(step, ENDED.to_owned(), child).await
            }
            other => McpError::Protocol { step, why: masks.clean(&words(other)) },
        }
    }

    /// A request that got no result.
    pub(crate) async fn explain_service(
        &self,
        step: &'static str,
        error: &ServiceError,
        masks: &Masks,
    ) -> McpError {
        if let Some(error) = self.noted(step).await {
            return error;
        }
        if let Some(challenge) = challenge(error) {
            return self.unauthorized(&challenge);
        }
        match error {
            ServiceError::McpError(data) => {
                McpError::Refused { step, code: data.code.0, message: masks.clean(&data.message) }
            }
            ServiceError::UnexpectedResponse => {
                McpError::Protocol { step, why: "it has not the form that it must have".into() }
            }
            ServiceError::TransportSend(error) => {
                self.lost(step, masks.clean(&sent(error)), None).await
            }
            ServiceError::TransportClosed => self.lost(step, ENDED.to_owned(), None).await,
            other => self.lost(step, masks.clean(&words(other)), None).await,
        }
    }

    /// What the transport noted as the end of the conversation.
    async fn noted(&self, step: &'static str) -> Option<McpError> {
        Some(match self.troubles.fatal()? {
            Trouble::Garbage(line) => McpError::Garbage { line, said: self.said().await },
            Trouble::TooMuch(what) => McpError::TooMuch { what },
            Trouble::Protocol(why) => McpError::Protocol { step, why },
            Trouble::Lost(why) => McpError::Unreachable { server: self.server.clone(), why },
        })
    }

    /// A connection that broke: a program that died, or a server out of reach.
    async fn lost(&self, step: &'static str, why: String, child: Option<&mut Child>) -> McpError {
        if self.said.is_none() {
            return McpError::Unreachable { server: self.server.clone(), why };
        }
        let how = match child {
            Some(child) => child.ended(LAST_WORDS).await,
            None => None,
        };
        let how = how.unwrap_or_else(|| "it closed its standard output".into());
        McpError::Died { step, how, said: self.said().await }
    }

    fn unauthorized(&self, challenge: &str) -> McpError {
        McpError::Unauthorized { server: self.server.clone(), challenge: challenge.to_owned() }
    }

    /// Its last words; what it wrote to the wrong place where there are none.
    async fn said(&self) -> String {
        let said = match &self.said {
            Some(tail) => tail.settled().await,
            None => String::new(),
        };
        match said.is_empty() {
            true => self.troubles.first_noise().unwrap_or_default(),
            false => said,
        }
    }
}

/// Why a message could not be sent. The SDK's own words are names of its types, and leave out the cause.
fn sent(error: &DynamicTransportError) -> String {
    type Streamable = StreamableHttpError<reqwest::Error>;
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error.error.as_ref());
    while let Some(error) = next {
        if let Some(StreamableHttpError::Client(cause)) = error.downcast_ref::<Streamable>() {
            return words(cause);
        }
        next = error.source();
    }
    words(error.error.as_ref())
}

/// The challenge of a request that was refused for want of a permission.
fn challenge(error: &ServiceError) -> Option<String> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(match error {
        ServiceError::TransportSend(sent) => sent.error.as_ref(),
        other => other,
    });
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<AuthRequiredError>() {
            return Some(found.www_authenticate_header.clone());
        }
        if let Some(found) = error.downcast_ref::<InsufficientScopeError>() {
            return Some(found.www_authenticate_header.clone());
        }
        next = error.source();
    }
    None
}

/// A tool's answer in our words.
pub(crate) fn called(result: CallToolResult) -> Result<Called> {
    let wrong = |e: serde_json::Error| McpError::Protocol { step: "the call", why: e.to_string() };
    let texts = result.content.iter().filter_map(|block| block.as_text());
    let text = texts.map(|text| text.text.as_str()).collect::<Vec<_>>().join("\n");
    let content = result.content.iter().map(serde_json::to_value);
    let content = content.collect::<std::result::Result<Vec<Value>, _>>().map_err(wrong)?;
    Ok(Called {
        failed: result.is_error.unwrap_or(false),
        text,
        structured: result.structured_content,
        content,
    })
}
