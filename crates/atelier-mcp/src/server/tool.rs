//! Tools, and the table of them.

use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use rmcp::RoleServer;
use rmcp::model::{ProgressNotificationParam, ProgressToken};
use rmcp::service::Peer;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio_util::sync::CancellationToken;

use super::confirm::{Confirmed, Round};
use super::shelf::Shelf;

/// What a tool does to the world, as hints to clients and those who watch them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Manner {
    /// It changes nothing.
    pub read_only: bool,
    /// What it changes may be lost.
    pub destructive: bool,
    /// Twice is the same as once.
    pub idempotent: bool,
    /// It deals with what is outside of Atelier, such as the web.
    pub open_world: bool,
}

/// What runs when a tool is called.
pub(super) type Run =
    dyn Fn(Value, Context) -> BoxFuture<'static, Result<Value, Problem>> + Send + Sync;

/// A tool.
#[derive(Clone)]
pub struct Tool {
    /// Its name: letters, digits, `_`, `-` and `.`.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// What it does, for models.
    pub description: String,
    /// The JSON Schema of its arguments, which are an object.
    pub input: Map<String, Value>,
    /// The JSON Schema of its result, if that is always an object.
    pub output: Option<Map<String, Value>>,
    /// What it does to the world.
    pub manner: Manner,
    pub(super) run: Arc<Run>,
}

/// What is served.
#[derive(Clone, Default)]
pub struct Table {
    /// The server's name.
    pub name: String,
    /// Its name for people.
    pub title: Option<String>,
    /// Its version.
    pub version: String,
    /// What it tells models of itself.
    pub instructions: Option<String>,
    /// The tools, in the order in which they are listed.
    pub tools: Vec<Tool>,
    /// Resources and prompts, where there are any.
    pub shelf: Option<Arc<dyn Shelf>>,
}

impl Tool {
    /// A tool whose arguments are checked by the handler, and described by `input`.
    pub fn new<F, R>(name: &str, description: &str, input: Map<String, Value>, run: F) -> Self
    where
        F: Fn(Value, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<Value, Problem>> + Send + 'static,
    {
        Self {
            name: name.to_owned(),
            title: None,
            description: description.to_owned(),
            input: object(input),
            output: None,
            manner: Manner::default(),
            run: Arc::new(move |arguments, context| run(arguments, context).boxed()),
        }
    }

    /// A tool with types: what describes its arguments and result is made from them.
    pub fn typed<I, O, F, R>(name: &str, description: &str, run: F) -> Self
    where
        I: DeserializeOwned + JsonSchema + Send + 'static,
        O: Serialize + JsonSchema + 'static,
        F: Fn(I, Context) -> R + Send + Sync + 'static,
        R: Future<Output = Result<O, Problem>> + Send + 'static,
    {
        let run = Arc::new(run);
        let own = name.to_owned();
        let mut tool = Self::new(name, description, schema::<I>(), move |arguments, context| {
            let (run, own) = (run.clone(), own.clone());
            async move {
                let input = serde_json::from_value(arguments).map_err(|e| wrong(&own, &e))?;
                let output = run(input, context).await?;
                serde_json::to_value(output).map_err(|e| {
                    Problem::new("mcp.result", ExitCode::Failed, format!("the result: {e}"))
                })
            }
        });
        let output = schema::<O>();
        if output.get("type").and_then(Value::as_str) == Some("object") {
            tool.output = Some(output);
        }
        tool
    }

    /// The same with a name for people.
    #[must_use]
    pub fn titled(mut self, title: &str) -> Self {
        self.title = Some(title.to_owned());
        self
    }

    /// The same with what it does to the world.
    #[must_use]
    pub fn with_manner(mut self, manner: Manner) -> Self {
        self.manner = manner;
        self
    }
}

/// Arguments that are not what the tool takes.
fn wrong(tool: &str, error: &serde_json::Error) -> Problem {
    let detail = format!("the arguments of {tool} are not what it takes: {error}");
    Problem::new("mcp.arguments", ExitCode::Usage, detail)
        .hint("its input schema is in the answer to tools/list")
}

fn schema<T: JsonSchema>() -> Map<String, Value> {
    match schemars::schema_for!(T).to_value() {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// A schema of arguments: an object, whatever it was made from.
fn object(mut input: Map<String, Value>) -> Map<String, Value> {
    input.insert("type".to_owned(), Value::from("object"));
    input
}

/// What a tool knows of its call.
#[derive(Clone)]
pub struct Context {
    pub(super) round: Round,
    pub(super) peer: Peer<RoleServer>,
    pub(super) token: Option<ProgressToken>,
    pub(super) cancelled: CancellationToken,
    pub(super) client: Option<String>,
    pub(super) head: Option<Arc<hyper::http::request::Parts>>,
}

impl Context {
    /// Tells the client how far it is, if it wants to know. `done` must grow.
    pub async fn progress(&self, done: f64, total: Option<f64>, message: &str) {
        let Some(token) = &self.token else { return };
        let mut note = ProgressNotificationParam::new(token.clone(), done);
        note.total = total;
        note.message = (!message.is_empty()).then(|| message.to_owned());
        // A client that is gone has no use for it.
        let _ = self.peer.notify_progress(note).await;
    }

    /// Asks the user through the client. What is asked should name all that will be done.
    pub async fn confirm(&self, question: &str) -> Confirmed {
        self.round.confirm(question, &self.peer, &self.cancelled).await
    }

    /// Waits until the client wants the call no more. A moment later the call is dropped.
    pub async fn cancelled(&self) {
        self.cancelled.cancelled().await;
    }

    /// What whoever let the request in noted on it (an extension of the HTTP request).
    #[must_use]
    pub fn extension<T: Clone + Send + Sync + 'static>(&self) -> Option<T> {
        self.head.as_ref()?.extensions.get::<T>().cloned()
    }

    /// What the client calls itself.
    #[must_use]
    pub fn client(&self) -> Option<&str> {
        self.client.as_deref()
    }
}
