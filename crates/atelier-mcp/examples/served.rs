//! A server of ours for the tests, with a tool of each kind, resources and prompts: on standard input and output, or
//! over HTTP with `--http` (it prints its URL; `--token TOKEN` asks for one). What is called `test…` is what the
//! conformance suite calls it.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::{ExitCode as Code, Problem};
use atelier_mcp::{
    Confirmed, Context, HttpOptions, Manner, Prompt, Resource, Shelf, Table, Tool, serve_http,
    serve_stdio,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

#[derive(Deserialize, JsonSchema)]
struct Two {
    /// The first one.
    a: i64,
    /// The second one.
    b: i64,
}

#[derive(Serialize, JsonSchema)]
struct Sum {
    /// Both together.
    sum: i64,
}

#[derive(Deserialize, JsonSchema)]
struct Steps {
    /// How many.
    steps: u32,
    /// Milliseconds of each.
    pause: u64,
    /// A file that is made when the work is dropped before its end.
    dropped: Option<std::path::PathBuf>,
}

struct Dropped(Option<std::path::PathBuf>);

impl Drop for Dropped {
    fn drop(&mut self) {
        if let Some(file) = self.0.take() {
            let _ = std::fs::write(file, "dropped");
        }
    }
}

async fn work(input: Steps, context: Context) -> Result<String, Problem> {
    let mut dropped = Dropped(input.dropped);
    for step in 1..=input.steps {
        tokio::time::sleep(Duration::from_millis(input.pause)).await;
        context.progress(f64::from(step), Some(f64::from(input.steps)), "working").await;
    }
    dropped.0 = None;
    Ok(format!("{} steps", input.steps))
}

#[derive(Deserialize, JsonSchema)]
struct Question {
    /// What is asked.
    message: String,
}

/// What the user says to it.
async fn ask(input: Question, context: Context) -> Result<String, Problem> {
    match context.confirm(&input.message).await {
        Confirmed::Yes => Ok("yes".into()),
        Confirmed::No => Ok("no".into()),
        Confirmed::Dismissed => Ok("dismissed".into()),
        // Told to nobody: a client that repeats the call gets one of the others.
        Confirmed::Again => Err(Problem::new("test.again", Code::Failed, "asked later")),
        Confirmed::Unable => Err(Problem::new("test.unable", Code::NotPermitted, "nobody to ask")),
    }
}

struct Books;

const PLAIN: &str = "text/plain";

impl Shelf for Books {
    fn resources(&self) -> Result<Vec<Resource>, Problem> {
        Ok(vec![resource("test://static-text", "text"), resource("test://broken", "broken")])
    }

    fn families(&self) -> Vec<Resource> {
        vec![resource("test://template/{id}/data", "data")]
    }

    fn read(&self, uri: &str) -> Result<Option<(String, &'static str)>, Problem> {
        if uri == "test://broken" {
            return Err(Problem::new("test.full", Code::Conflict, "the shelf is full"));
        }
        let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
        Ok(match (uri, id) {
            ("test://static-text", _) => Some(("a text".into(), PLAIN)),
            (_, Some(id)) => Some((format!("data of {id}"), PLAIN)),
            _ => None,
        })
    }

    fn prompts(&self) -> Vec<Prompt> {
        let values: &[(&str, &str)] = &[("arg1", "The first one"), ("arg2", "The second one")];
        vec![
            Prompt { name: "test_simple_prompt", description: "A text", values: &[] },
            Prompt { name: "test_prompt_with_arguments", description: "With values", values },
        ]
    }

    fn prompt(&self, _: &str, values: &BTreeMap<String, String>) -> Result<String, Problem> {
        let words: Vec<_> = values.iter().map(|(name, value)| format!("{name}={value}")).collect();
        Ok(format!("Say hello {}", words.join(" ")))
    }
}

fn resource(uri: &str, name: &str) -> Resource {
    let description = format!("The {name}");
    Resource { uri: uri.into(), name: name.into(), description, media: PLAIN }
}

fn table() -> Table {
    let read = Manner { read_only: true, idempotent: true, ..Manner::default() };
    let add = Tool::typed("add", "Adds two numbers.", |two: Two, _| async move {
        Ok(Sum { sum: two.a + two.b })
    });
    let steps = Tool::typed("work", "Works for a while.", work);
    let fails = Tool::new("fail", "Fails.", Map::new(), |_: Value, _| async {
        let problem = Problem::new("test.full", Code::Conflict, "the shelf is full");
        Err(problem.hint("make room on it"))
    });
    let asks = Tool::typed("test_elicitation", "Asks the user.", ask);
    let panics = Tool::new("panic", "Breaks.", Map::new(), |_: Value, _| async { broken() });
    Table {
        name: "atelier-test".into(),
        title: Some("A server for tests".into()),
        version: env!("CARGO_PKG_VERSION").into(),
        instructions: Some("Add numbers.".into()),
        tools: vec![add.titled("Addition").with_manner(read), steps, fails, panics, asks],
        shelf: Some(Arc::new(Books)),
    }
}

#[expect(clippy::panic, reason = "that is what it is for")]
fn broken() -> Result<Value, Problem> {
    panic!("a tool that panics");
}

async fn http(token: Option<String>) -> Result<(), Box<dyn std::error::Error>> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}/mcp", listener.local_addr()?);
    let stop = async {
        let _ = tokio::signal::ctrl_c().await;
    };
    Ok(serve_http(table(), listener, HttpOptions { token, ..HttpOptions::default() }, stop).await?)
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let done = match arguments.iter().any(|argument| argument == "--http") {
        true => {
            let token = arguments.iter().skip_while(|argument| *argument != "--token").nth(1);
            http(token.cloned()).await
        }
        false => serve_stdio(table(), std::future::pending()).await.map_err(Into::into),
    };
    match done {
        Ok(()) => std::process::exit(0),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
