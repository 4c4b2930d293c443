//! Our server with a client: what its tools answer, and who is let in.

use std::collections::BTreeMap;
use std::time::Duration;

use atelier_api::Fault;
use atelier_mcp::{
    Client, ClientOptions, Handshake, HttpOptions, HttpService, Table, Target, Tool, call, inspect,
    serve_http,
};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};

use crate::support::{example, served};

fn stdio() -> Target {
    Target::program(example("served"), Vec::<String>::new())
}

#[tokio::test]
async fn a_table_is_served_alike_on_both_transports_and_in_both_ways_of_the_protocol() {
    let (_server, url) = served(&[]);
    for target in [stdio(), Target::http(url)] {
        for (handshake, protocol) in
            [(Handshake::Initialize, "2025-11-25"), (Handshake::Discover, "2026-07-28")]
        {
            let options = ClientOptions { handshake, ..ClientOptions::default() };
            let mut client = Client::connect(&target, &options).await.unwrap();
            let found = client.inspect().await.unwrap();
            assert_eq!(found.protocol, protocol);
            assert_eq!(found.instructions.as_deref(), Some("Add numbers."));
            let names: Vec<_> = found.tools.iter().map(|tool| tool.name.as_str()).collect();
            assert_eq!(names, ["add", "work", "fail", "panic", "test_elicitation"]);
            assert_eq!(found.tools[0].input_schema["required"], json!(["a", "b"]));
            let called = client.call("add", json!({"a": 1, "b": 2})).await.unwrap();
            assert_eq!(called.structured, Some(json!({"sum": 3})));
            assert_eq!(called.text, r#"{"sum":3}"#);
            client.close().await;
        }
    }
}

#[tokio::test]
async fn failures_of_a_tool_are_answers_with_their_code_and_hints() {
    let mut client = Client::connect(&stdio(), &ClientOptions::default()).await.unwrap();
    let failed = client.call("fail", Value::Null).await.unwrap();
    assert!(failed.failed);
    assert_eq!(failed.text, "the shelf is full (test.full)\nhint: make room on it");
    assert_eq!(failed.structured.unwrap()["code"], "test.full");
    let wrong = client.call("add", json!({"a": "x"})).await.unwrap();
    assert!(wrong.failed && wrong.text.contains("mcp.arguments"), "{wrong:?}");
    let panicked = client.call("panic", json!({})).await.unwrap();
    assert!(panicked.failed && panicked.text.contains("mcp.internal"), "{panicked:?}");
    let error = client.call("nothing", json!({})).await.unwrap_err();
    assert!(error.to_string().contains("there is no tool \"nothing\" (-32602)"), "{error}");
    assert!(!client.call("add", json!({"a": 1, "b": 1})).await.unwrap().failed, "it goes on");
    client.close().await;
}

/// A conversation by hand, for what a client hides.
struct Hand {
    child: tokio::process::Child,
    lines: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
}

impl Hand {
    async fn shake() -> Self {
        let mut command = tokio::process::Command::new(example("served"));
        command.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut own = Self { child, lines };
        let params = json!({"protocolVersion": "2025-06-18", "capabilities": {},
            "clientInfo": {"name": "hand", "version": "1"}});
        own.say(json!({"id": 0, "method": "initialize", "params": params})).await;
        assert_eq!(own.hears().await["result"]["protocolVersion"], "2025-06-18");
        own.say(json!({"method": "notifications/initialized"})).await;
        own
    }

    async fn say(&mut self, mut message: Value) {
        message["jsonrpc"] = json!("2.0");
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(format!("{message}\n").as_bytes()).await.unwrap();
    }

    async fn hears(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line()).await;
        serde_json::from_str(&line.unwrap().unwrap().unwrap()).unwrap()
    }
}

#[tokio::test]
async fn progress_is_told_to_who_wants_it() {
    let mut hand = Hand::shake().await;
    let arguments = json!({"steps": 2, "pause": 1});
    let params = json!({"name": "work", "arguments": arguments, "_meta": {"progressToken": "p"}});
    hand.say(json!({"id": 1, "method": "tools/call", "params": params})).await;
    let mut heard = Vec::new();
    while heard.len() < 3 {
        heard.push(hand.hears().await);
    }
    let progress: Vec<_> =
        heard.iter().filter(|m| m["method"] == "notifications/progress").collect();
    assert_eq!(progress.len(), 2, "{heard:?}");
    assert_eq!(progress[1]["params"]["progressToken"], "p");
    let (done, total) = (&progress[1]["params"]["progress"], &progress[1]["params"]["total"]);
    assert_eq!((done.as_f64(), total.as_f64()), (Some(2.0), Some(2.0)));
}

#[tokio::test]
async fn a_cancelled_call_is_dropped_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("dropped");
    let mut hand = Hand::shake().await;
    let arguments = json!({"steps": 1, "pause": 600_000, "dropped": file});
    let params = json!({"name": "work", "arguments": arguments});
    hand.say(json!({"id": 1, "method": "tools/call", "params": params})).await;
    let params = json!({"name": "add", "arguments": {"a": 1, "b": 1}});
    hand.say(json!({"id": 2, "method": "tools/call", "params": params})).await;
    assert_eq!(hand.hears().await["id"], 2, "one call does not wait for another");
    hand.say(json!({"method": "notifications/cancelled", "params": {"requestId": 1}})).await;
    let gone = async {
        while !file.exists() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("it is dropped");
}

#[tokio::test]
async fn the_server_ends_when_its_client_leaves() {
    let mut hand = Hand::shake().await;
    drop(hand.child.stdin.take());
    let ended = tokio::time::timeout(Duration::from_secs(30), hand.child.wait()).await;
    assert!(ended.expect("it ends").unwrap().success());
}

#[tokio::test]
async fn a_token_is_asked_for_and_a_wrong_one_is_none() {
    let (_server, url) = served(&["--token", "open-sesame"]);
    let with = |value: &str| Target::Http {
        url: url.clone(),
        headers: BTreeMap::from([("Authorization".to_owned(), value.to_owned())]),
    };
    let options = ClientOptions::default();
    for target in [Target::http(url.clone()), with("Bearer open-sesam"), with("Basic open-sesame")]
    {
        let error = inspect(&target, &options).await.unwrap_err();
        assert_eq!((error.code(), error.exit().code()), ("mcp.unauthorized", 10), "{error}");
    }
    let called = call(&with("bearer open-sesame"), "add", json!({"a": 1, "b": 2}), &options).await;
    assert_eq!(called.unwrap().structured, Some(json!({"sum": 3})));
}

#[tokio::test]
async fn pages_of_the_web_and_other_names_are_refused() {
    let (_server, url) = served(&[]);
    let _ = rustls::crypto::ring::default_provider().install_default();
    let http = reqwest::Client::builder().no_proxy().build().unwrap();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"}).to_string();
    let ask = |name: &'static str, value: &'static str| {
        http.post(&url)
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json")
            .header(name, value)
            .body(body.clone())
            .send()
    };
    assert_eq!(ask("origin", "https://evil.example").await.unwrap().status(), 403);
    assert_eq!(ask("origin", "null").await.unwrap().status(), 403);
    assert_eq!(ask("host", "evil.example").await.unwrap().status(), 403);
    assert_ne!(ask("origin", "http://localhost:6274").await.unwrap().status(), 403);
    let elsewhere = http.get(url.replace("/mcp", "/other")).send().await.unwrap();
    assert_eq!(elsewhere.status(), 404);
}

#[tokio::test]
async fn a_server_that_is_there_already_says_who_calls() {
    #[derive(Clone)]
    struct Caller(&'static str);
    let who = Tool::new("who", "Who calls.", serde_json::Map::new(), |_, context| async move {
        let caller = context.extension::<Caller>().map(|caller| caller.0);
        Ok(Value::from(caller.unwrap_or("nobody")))
    });
    let table = Table { name: "t".into(), tools: vec![who], ..Table::default() };
    let service = HttpService::new(table, &HttpOptions::default());
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": {}});
    let params = json!({"name": "who", "arguments": {}, "_meta": meta});
    let call = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params});
    let request = hyper::Request::post("http://localhost/anywhere")
        .header("host", "localhost")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", "tools/call")
        .header("mcp-name", "who")
        .extension(Caller("ada"))
        .body(Full::new(Bytes::from(call.to_string())))
        .unwrap();
    let answer = service.answer(request).await.into_body().collect().await.unwrap().to_bytes();
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.contains(r#""text":"ada""#), "{answer}");
}

#[tokio::test]
async fn nothing_is_served_beyond_this_machine_without_a_token() {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:0").await.unwrap();
    let options = HttpOptions { token: Some(String::new()), ..HttpOptions::default() };
    let refused = serve_http(Table::default(), listener, options, std::future::pending()).await;
    assert!(refused.unwrap_err().to_string().contains("needs a token"));
}
