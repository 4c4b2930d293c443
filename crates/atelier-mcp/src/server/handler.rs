//! The table for the SDK.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::{ExitCode, Problem};
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, CompleteRequestMethod,
    CompleteRequestParams, CompleteResult, ConstString, ContentBlock, ErrorData,
    GetPromptRequestMethod, GetPromptRequestParams, GetPromptResponse, Implementation,
    ListPromptsRequestMethod, ListPromptsResult, ListResourceTemplatesRequestMethod,
    ListResourceTemplatesResult, ListResourcesRequestMethod, ListResourcesResult, ListToolsResult,
    PaginatedRequestParams, ReadResourceRequestMethod, ReadResourceRequestParams,
    ReadResourceResponse, ServerCapabilities, ServerConfig, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{RoleServer, ServerHandler};
use serde_json::Value;
use tokio::task::JoinHandle;

use super::confirm::Round;
use super::shelf::{self, Shared};
use super::tool::{Context, Table, Tool};

/// How long a cancelled tool has to notice it.
const NOTICE: Duration = Duration::from_millis(200);

/// The table, ready to be served to many.
#[derive(Clone)]
pub(super) struct Handler {
    table: Arc<Table>,
    listed: Arc<Vec<rmcp::model::Tool>>,
    places: Arc<HashMap<String, usize>>,
}

impl Handler {
    pub(super) fn new(table: Table) -> Self {
        let listed = table.tools.iter().map(listed).collect();
        let names = table.tools.iter().enumerate().map(|(at, tool)| (tool.name.clone(), at));
        let places = names.collect();
        Self { table: Arc::new(table), listed: Arc::new(listed), places: Arc::new(places) }
    }

    /// What answers a method that only a shelf has an answer to.
    fn shelf<M: ConstString>(&self) -> Result<&Shared, ErrorData> {
        self.table.shelf.as_ref().ok_or_else(ErrorData::method_not_found::<M>)
    }
}

fn listed(tool: &Tool) -> rmcp::model::Tool {
    let input = Arc::new(tool.input.clone());
    let mut own = rmcp::model::Tool::new(tool.name.clone(), tool.description.clone(), input);
    own.title.clone_from(&tool.title);
    own.output_schema = tool.output.clone().map(Arc::new);
    let manner = tool.manner;
    own.annotations = Some(ToolAnnotations::from_raw(
        None,
        Some(manner.read_only),
        Some(manner.destructive),
        Some(manner.idempotent),
        Some(manner.open_world),
    ));
    own
}

impl ServerHandler for Handler {
    fn get_info(&self) -> ServerConfig {
        let mut capabilities = ServerCapabilities::builder().enable_tools().build();
        if self.table.shelf.is_some() {
            capabilities.resources = Some(Default::default());
            capabilities.prompts = Some(Default::default());
        }
        let mut us = Implementation::new(self.table.name.clone(), self.table.version.clone());
        us.title.clone_from(&self.table.title);
        let mut config = ServerConfig::new(capabilities).with_server_info(us);
        config.instructions.clone_from(&self.table.instructions);
        config
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items((*self.listed).clone()))
    }

    // The SDK answers what follows with empty lists; what is not offered is not there.

    async fn list_prompts(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListPromptsResult, ErrorData> {
        let prompts = self.shelf::<ListPromptsRequestMethod>()?.prompts();
        Ok(ListPromptsResult::with_all_items(prompts.iter().map(shelf::offered).collect()))
    }

    async fn get_prompt(
        &self,
        request: GetPromptRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<GetPromptResponse, ErrorData> {
        let own = self.shelf::<GetPromptRequestMethod>()?;
        let values = request.arguments.unwrap_or_default();
        Ok(shelf::prompt(own, request.name, values).await?.into())
    }

    async fn list_resources(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourcesResult, ErrorData> {
        let own = self.shelf::<ListResourcesRequestMethod>()?;
        let all = shelf::with(own, |shelf| shelf.resources()).await?;
        Ok(ListResourcesResult::with_all_items(all.iter().map(shelf::listed).collect()))
    }

    async fn list_resource_templates(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListResourceTemplatesResult, ErrorData> {
        let all = self.shelf::<ListResourceTemplatesRequestMethod>()?.families();
        Ok(ListResourceTemplatesResult::with_all_items(all.iter().map(shelf::family).collect()))
    }

    async fn read_resource(
        &self,
        request: ReadResourceRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<ReadResourceResponse, ErrorData> {
        let own = self.shelf::<ReadResourceRequestMethod>()?;
        Ok(shelf::read(own, request.uri).await?.into())
    }

    async fn complete(
        &self,
        _request: CompleteRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CompleteResult, ErrorData> {
        Err(ErrorData::method_not_found::<CompleteRequestMethod>())
    }

    fn get_tool(&self, name: &str) -> Option<rmcp::model::Tool> {
        self.listed.get(*self.places.get(name)?).cloned()
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let found = self.places.get(request.name.as_ref()).map(|at| &self.table.tools[*at]);
        let Some(tool) = found else {
            let why = format!("there is no tool {:?}", request.name);
            return Err(ErrorData::invalid_params(why, None));
        };
        let round = Round::new(&context, request.input_responses);
        let own = Context {
            round: round.clone(),
            token: context.meta.get_progress_token(),
            cancelled: context.ct.clone(),
            client: context.client_info().map(|client| client.name),
            head: context.extensions.get::<hyper::http::request::Parts>().cloned().map(Arc::new),
            peer: context.peer.clone(),
        };
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        // A task of its own, so that a tool that panics costs its own call only.
        let mut running = Ended(tokio::spawn((tool.run)(arguments, own)));
        let done = tokio::select! {
            done = &mut running.0 => done,
            () = context.ct.cancelled() => {
                tokio::time::sleep(NOTICE).await;
                return Err(ErrorData::internal_error("the call was cancelled", None));
            }
        };
        if let Some(open) = round.open() {
            return Ok(open.into());
        }
        let done = done.unwrap_or_else(|_| {
            let detail = format!("{} failed inside Atelier", tool.name);
            Err(Problem::new("mcp.internal", ExitCode::Failed, detail))
        });
        Ok(result(done).into())
    }
}

/// A task that ends when nobody waits for it any more.
struct Ended(JoinHandle<Result<Value, Problem>>);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A tool's result: text for models, structure for programs.
fn result(done: Result<Value, Problem>) -> CallToolResult {
    match done {
        Ok(Value::String(text)) => CallToolResult::success(vec![ContentBlock::text(text)]),
        Ok(value) => {
            let text = ContentBlock::text(value.to_string());
            let mut result = CallToolResult::success(vec![text]);
            // Older revisions allow objects only.
            result.structured_content = value.is_object().then_some(value);
            result
        }
        Err(problem) => {
            let mut result = CallToolResult::error(vec![ContentBlock::text(told(&problem))]);
            result.structured_content = serde_json::to_value(&problem).ok();
            result
        }
    }
}

/// A problem as a model reads it.
pub(super) fn told(problem: &Problem) -> String {
    let mut text = format!("{} ({})", problem.detail, problem.code);
    for hint in &problem.hints {
        text.push_str("\nhint: ");
        text.push_str(hint);
    }
    text
}
