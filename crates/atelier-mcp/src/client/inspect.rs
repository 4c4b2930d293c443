//! What a server is and offers.

use rmcp::model::PaginatedRequestParams;
use rmcp::service::ServiceError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::client::Client;
use crate::error::{McpError, Result};

/// What a server is and offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Inspection {
    /// What it calls itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Its version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The revision of the protocol that was agreed on.
    pub protocol: String,
    /// What it tells models of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Milliseconds from its start to an agreed protocol.
    pub initialize_ms: u64,
    /// Its tools, in its order.
    pub tools: Vec<OfferedTool>,
    /// Its prompts.
    pub prompts: Vec<OfferedPrompt>,
    /// Its resources.
    pub resources: Vec<OfferedResource>,
}

/// A tool that a server offers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedTool {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The JSON Schema of its arguments.
    pub input_schema: Map<String, Value>,
}

/// A prompt that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedPrompt {
    /// Its name.
    pub name: String,
    /// What it says of itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// A resource that a server offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OfferedResource {
    /// Its name.
    pub name: String,
    /// Where it is.
    pub uri: String,
}

/// A page of a list, and where the next one begins.
type Page<T> = std::result::Result<(Vec<T>, Option<String>), ServiceError>;

pub(super) async fn inspect(client: &Client) -> Result<Inspection> {
    let info = client.service.peer().peer_info();
    let (server, version) = match info.as_ref().and_then(|info| info.server_info.clone()) {
        Some(own) => (Some(own.name), Some(own.version)),
        None => (None, None),
    };
    let can = info.as_ref().map(|info| info.capabilities.clone()).unwrap_or_default();
    let mut found = Inspection {
        server,
        version,
        protocol: info.as_ref().map(|i| i.protocol_version.to_string()).unwrap_or_default(),
        instructions: info.as_ref().and_then(|info| info.instructions.clone()),
        initialize_ms: u64::try_from(client.initialize.as_millis()).unwrap_or(u64::MAX),
        tools: Vec::new(),
        prompts: Vec::new(),
        resources: Vec::new(),
    };
    if can.tools.is_some() {
        found.tools = tools(client).await?;
    }
    if can.prompts.is_some() {
        found.prompts = prompts(client).await?;
    }
    if can.resources.is_some() {
        found.resources = resources(client).await?;
    }
    Ok(found)
}

async fn tools(client: &Client) -> Result<Vec<OfferedTool>> {
    let all = client
        .all("tools/list", async |from| {
            let page = client.service.list_tools(from).await?;
            Ok((page.tools, page.next_cursor))
        })
        .await?;
    let one = |tool: rmcp::model::Tool| OfferedTool {
        name: tool.name.into_owned(),
        description: tool.description.map(std::borrow::Cow::into_owned),
        input_schema: (*tool.input_schema).clone(),
    };
    Ok(all.into_iter().map(one).collect())
}

async fn prompts(client: &Client) -> Result<Vec<OfferedPrompt>> {
    let all = client
        .all("prompts/list", async |from| {
            let page = client.service.list_prompts(from).await?;
            Ok((page.prompts, page.next_cursor))
        })
        .await?;
    let one = |p: rmcp::model::Prompt| OfferedPrompt { name: p.name, description: p.description };
    Ok(all.into_iter().map(one).collect())
}

async fn resources(client: &Client) -> Result<Vec<OfferedResource>> {
    let all = client
        .all("resources/list", async |from| {
            let page = client.service.list_resources(from).await?;
            Ok((page.resources, page.next_cursor))
        })
        .await?;
    Ok(all.into_iter().map(|r| OfferedResource { name: r.name, uri: r.uri }).collect())
}

impl Client {
    /// All pages of a list.
    async fn all<T>(
        &self,
        step: &'static str,
        page: impl AsyncFn(Option<PaginatedRequestParams>) -> Page<T>,
    ) -> Result<Vec<T>> {
        let mut all = Vec::new();
        let mut cursors: Vec<String> = Vec::new();
        loop {
            let from = cursors
                .last()
                .map(|cursor| PaginatedRequestParams::default().with_cursor(Some(cursor.clone())));
            let asked = async || page(from.clone()).await;
            let (entries, next) = self.asked(step, self.limits.list, asked).await?;
            all.extend(entries);
            if all.len() > self.limits.entries {
                return Err(too_much(step, "entries", self.limits.entries));
            }
            match next {
                None => return Ok(all),
                Some(cursor) if cursors.contains(&cursor) => {
                    let why = "its pages go round in a circle".to_owned();
                    return Err(McpError::Protocol { step, why });
                }
                Some(cursor) => cursors.push(cursor),
            }
            if cursors.len() >= self.limits.pages {
                return Err(too_much(step, "pages", self.limits.pages));
            }
        }
    }
}

fn too_much(step: &str, of: &str, most: usize) -> McpError {
    McpError::TooMuch { what: format!("more than {most} {of} to {step}") }
}
