//! The client that the conformance suite drives: what a caller of this crate does with a server, with a
//! user who agrees to everything. The last argument is the server's URL.

use std::io;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use atelier_mcp::{
    Answer, Ask, Asker, Client, ClientOptions, Consent, Handshake, OAuth, OfferedTool, Registered,
    Target, TokenStore, defaults_of,
};
use futures_util::future::BoxFuture;
use serde_json::{Map, Value, json};

/// Where the suite looks for a document that describes a client.
const DOCUMENT: &str = "https://conformance-test.local/client-metadata.json";

/// Tokens in memory.
#[derive(Default)]
struct Memory(Mutex<Option<String>>);

impl TokenStore for Memory {
    fn load(&self) -> io::Result<Option<String>> {
        Ok(self.0.lock().map_err(|_| io::Error::other("lost"))?.clone())
    }

    fn save(&self, tokens: &str) -> io::Result<()> {
        *self.0.lock().map_err(|_| io::Error::other("lost"))? = Some(tokens.to_owned());
        Ok(())
    }

    fn clear(&self) -> io::Result<()> {
        *self.0.lock().map_err(|_| io::Error::other("lost"))? = None;
        Ok(())
    }
}

/// A user who agrees at once: the page sends the browser back.
struct Agrees;

impl Consent for Agrees {
    fn redirect(&self) -> String {
        "http://127.0.0.1:3000/callback".to_owned()
    }

    fn ask<'a>(&'a self, page: &'a str) -> BoxFuture<'a, io::Result<String>> {
        Box::pin(async move {
            let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
            let client = client.build().map_err(io::Error::other)?;
            let response = client.get(page).send().await.map_err(io::Error::other)?;
            let place = response.headers().get("location").and_then(|value| value.to_str().ok());
            place.map(ToOwned::to_owned).ok_or_else(|| io::Error::other("it sends nobody back"))
        })
    }
}

/// What the suite tells besides, for some scenarios.
fn told() -> Value {
    let text = std::env::var("MCP_CONFORMANCE_CONTEXT").unwrap_or_default();
    serde_json::from_str(&text).unwrap_or(Value::Null)
}

fn options(told: &Value) -> ClientOptions {
    let mut oauth = OAuth::stored_in(Memory::default()).asking(Agrees);
    oauth.metadata_url = Some(DOCUMENT.to_owned());
    let text = |key: &str| told.get(key).and_then(Value::as_str).map(ToOwned::to_owned);
    if let Some(id) = text("client_id") {
        oauth.registered = Some(Registered { id, secret: text("client_secret") });
    }
    let handshake = match std::env::var("MCP_CONFORMANCE_PROTOCOL_VERSION").as_deref() {
        Ok("2026-07-28") => Handshake::Discover,
        _ => Handshake::Either,
    };
    let ask: Asker = Arc::new(|asked| {
        Box::pin(async move {
            match asked {
                Ask::Form { schema, .. } => Answer::Accept(filled(&schema)),
                _ => Answer::Decline,
            }
        })
    });
    ClientOptions { oauth: Some(oauth), ask: Some(ask), handshake, ..ClientOptions::default() }
}

/// A form's defaults, and something for what it must have besides.
fn filled(schema: &Value) -> Value {
    let Value::Object(mut values) = defaults_of(schema) else { return Value::Null };
    values.extend(
        required(schema)
            .into_iter()
            .filter(|(name, _)| schema["properties"][name.as_str()].get("default").is_none()),
    );
    Value::Object(values)
}

/// Values for what a schema requires.
fn required(schema: &Value) -> Map<String, Value> {
    let names = schema.get("required").and_then(Value::as_array).into_iter().flatten();
    let one = |name: &str| {
        let property = schema.pointer(&format!("/properties/{name}"));
        match property.and_then(|p| p.get("type")).and_then(Value::as_str) {
            Some("number" | "integer") => json!(1),
            Some("boolean") => json!(true),
            Some("array") => json!([]),
            Some("object") => property.map_or(json!({}), |p| Value::Object(required(p))),
            _ => json!("text"),
        }
    };
    names.filter_map(Value::as_str).map(|name| (name.to_owned(), one(name))).collect()
}

/// The calls that the suite wants, or one of each tool.
fn calls(told: &Value, tools: &[OfferedTool]) -> Vec<(String, Value)> {
    let wanted = told.get("toolCalls").or_else(|| told.get("tool_calls")).and_then(Value::as_array);
    if let Some(wanted) = wanted {
        let one = |call: &Value| {
            let name = call.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
            (name, call.get("arguments").cloned().unwrap_or(Value::Null))
        };
        return wanted.iter().map(one).collect();
    }
    // One scenario wants to be told a schema as it was understood.
    let focal = tools.iter().find(|tool| tool.name == "json_schema_2020_12_tool");
    let one = |tool: &OfferedTool| {
        let schema = Value::Object(tool.input_schema.clone());
        let arguments = match focal {
            Some(focal) if tool.name == "json_schema_echo" => json!({"schema": focal.input_schema}),
            _ => Value::Object(required(&schema)),
        };
        (tool.name.clone(), arguments)
    };
    tools.iter().map(one).collect()
}

async fn run(url: String) -> atelier_mcp::Result<()> {
    let told = told();
    let mut client = Client::connect(&Target::http(url), &options(&told)).await?;
    let found = client.inspect().await?;
    let mut worst = Ok(());
    for (tool, arguments) in calls(&told, &found.tools) {
        match client.call(&tool, arguments).await {
            Ok(called) => eprintln!("{tool}: {}", called.text),
            Err(error) => worst = Err(error),
        }
    }
    client.close().await;
    worst
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let Some(url) = std::env::args().next_back() else { return ExitCode::FAILURE };
    match run(url).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
