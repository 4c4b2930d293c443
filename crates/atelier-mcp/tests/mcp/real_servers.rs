//! The client with servers that others wrote.

use std::collections::BTreeMap;

use atelier_mcp::{Answer, Ask, Asker, Client, ClientOptions, Target, call, inspect};
use serde_json::json;

use crate::support::{everything, everything_over, tools};

fn options() -> ClientOptions {
    ClientOptions::default()
}

async fn adds(target: &Target) {
    let found = inspect(target, &options()).await.unwrap();
    assert!(found.server.as_deref().is_some_and(|name| name.contains("everything")), "{found:?}");
    assert!(found.tools.iter().any(|t| t.name == "echo" && t.input_schema["type"] == "object"));
    assert!(!found.prompts.is_empty() && !found.resources.is_empty());
    let called = call(target, "get-sum", json!({"a": 2, "b": 3}), &options()).await.unwrap();
    assert!(!called.failed && called.text.contains('5'), "{called:?}");
}

#[tokio::test]
async fn a_server_on_standard_input_and_output() {
    adds(&everything()).await;
}

#[tokio::test]
async fn a_server_of_streamable_http() {
    let (_server, port) = everything_over("streamableHttp");
    adds(&Target::http(format!("http://127.0.0.1:{port}/mcp"))).await;
}

#[tokio::test]
async fn a_server_of_the_older_transport_by_its_name_and_by_being_found() {
    let (_server, port) = everything_over("sse");
    let url = format!("http://127.0.0.1:{port}/sse");
    adds(&Target::Sse { url: url.clone(), headers: BTreeMap::new() }).await;
    adds(&Target::http(url)).await;
}

#[tokio::test]
async fn a_server_in_python() {
    let python = tools().join("venv/bin/python").display().to_string();
    let found = inspect(&Target::program(python, ["-m", "mcp_server_fetch"]), &options()).await;
    let found = found.unwrap();
    let names: Vec<_> = found.tools.iter().map(|tool| tool.name.as_str()).collect();
    assert_eq!(names, ["fetch"]);
}

#[tokio::test]
async fn a_tool_that_fails_is_an_answer_and_one_that_is_not_there_is_named() {
    let mut client = Client::connect(&everything(), &options()).await.unwrap();
    let called = client.call("get-sum", json!({"a": "x"})).await;
    assert!(called.as_ref().is_ok_and(|c| c.failed) || called.is_err(), "{called:?}");
    let missing = client.call("no-such-tool", json!({})).await;
    let said = format!("{missing:?}");
    assert!(said.contains("no-such-tool"), "{said}");
    client.close().await;
}

#[tokio::test]
async fn a_server_may_ask_the_user() {
    let ask: Asker = std::sync::Arc::new(|asked| {
        Box::pin(async move {
            let Ask::Form { schema, .. } = asked else { return Answer::Cancel };
            assert!(schema["properties"].is_object(), "{schema}");
            Answer::Decline
        })
    });
    let options = ClientOptions { ask: Some(ask), ..options() };
    let found = inspect(&everything(), &options).await.unwrap();
    let asks = found.tools.iter().find(|tool| tool.name.contains("elicitation"));
    let name = &asks.expect("a tool that asks").name;
    let called = call(&everything(), name, json!({}), &options).await.unwrap();
    assert!(called.text.to_lowercase().contains("decline"), "{called:?}");
}
