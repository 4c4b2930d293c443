//! The bridge: what an agent gets through it, and what the remote server is asked.

use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use atelier_mcp::{
    Answer as Told, Asker, BridgeOptions, ClientOptions, Limits, Target, bridge, call, inspect,
};
use hyper::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, DuplexStream, Lines, ReadHalf};
use tokio::task::JoinHandle;

use crate::remote::{Asked, Remote, events, events_and_silence, json as plain, status};
use crate::support::{everything_over, example, served};

/// The agent's side of a bridge.
struct Agent {
    send: tokio::io::WriteHalf<DuplexStream>,
    lines: Lines<BufReader<ReadHalf<DuplexStream>>>,
    bridge: JoinHandle<atelier_mcp::Result<()>>,
}

impl Agent {
    fn of(target: Target) -> Self {
        let (near, far) = tokio::io::duplex(1 << 16);
        let bridge = tokio::spawn(async move {
            let (input, output) = tokio::io::split(far);
            let limits = Limits { close: Duration::from_secs(5), ..Limits::default() };
            let options = BridgeOptions { limits, ..BridgeOptions::default() };
            bridge(&target, input, output, std::future::pending(), &options).await
        });
        let (receive, send) = tokio::io::split(near);
        Self { send, lines: BufReader::new(receive).lines(), bridge }
    }

    fn to(remote: &Remote) -> Self {
        let headers = BTreeMap::from([("X-Api-Key".to_owned(), "the-secret".to_owned())]);
        Self::of(Target::Http { url: remote.url.clone(), headers })
    }

    async fn say(&mut self, value: Value) {
        self.send.write_all(format!("{value}\n").as_bytes()).await.unwrap();
    }

    async fn hears(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(30), self.lines.next_line()).await;
        serde_json::from_str(&line.expect("an answer").unwrap().expect("a line")).unwrap()
    }

    async fn hello(&mut self) {
        let params = json!({"protocolVersion": "2025-11-25", "capabilities": {},
            "clientInfo": {"name": "agent", "version": "1"}});
        self.say(json!({"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}))
            .await;
        assert_eq!(self.hears().await["result"]["serverInfo"]["name"], "far");
        self.say(json!({"jsonrpc": "2.0", "method": "notifications/initialized"})).await;
    }

    async fn ask(&mut self, id: u32, method: &str) {
        self.say(json!({"jsonrpc": "2.0", "id": id, "method": method, "params": {"a": 1.50}}))
            .await;
    }

    async fn leaves(mut self) -> atelier_mcp::Result<()> {
        self.send.shutdown().await.unwrap();
        tokio::time::timeout(Duration::from_secs(30), self.bridge).await.unwrap().unwrap()
    }
}

fn result(asked: &Asked, result: &Value) -> Value {
    json!({"jsonrpc": "2.0", "id": asked.message["id"], "result": result})
}

fn opened(asked: &Asked, session: &str) -> crate::remote::Answer {
    let own = json!({"protocolVersion": "2025-11-25", "capabilities": {},
        "serverInfo": {"name": "far", "version": "1"}});
    let mut answer = plain(200, &result(asked, &own));
    answer.headers_mut().insert("mcp-session-id", session.parse().unwrap());
    answer
}

/// What every server answers to the beginning, the end and what needs no answer.
fn usual(asked: &Asked) -> crate::remote::Answer {
    match (&asked.method, asked.rpc()) {
        (&Method::POST, "initialize") => opened(asked, "one"),
        (&Method::GET, _) => status(405),
        _ => status(202),
    }
}

#[tokio::test]
async fn a_message_goes_through_with_headers_that_the_agent_never_sees() {
    let remote = Remote::start(|asked| match asked.rpc() {
        "tools/list" => plain(200, &result(asked, &json!({"tools": [], "odd": {"z": 1, "a": 2}}))),
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    agent.hello().await;
    agent.ask(7, "tools/list").await;
    let heard = agent.hears().await;
    assert_eq!((&heard["id"], &heard["result"]["odd"]["a"]), (&json!(7), &json!(2)));
    agent.leaves().await.unwrap();
    let listed = &remote.asked("tools/list")[0];
    assert_eq!(listed.header("x-api-key"), "the-secret");
    assert_eq!(listed.header("mcp-session-id"), "one");
    assert_eq!(listed.header("mcp-protocol-version"), "2025-11-25");
    assert_eq!(remote.of(&Method::DELETE)[0].header("mcp-session-id"), "one");
}

#[tokio::test]
async fn what_the_server_says_on_its_own_reaches_the_agent_and_its_answer_the_server() {
    let asks = r#"{"jsonrpc":"2.0","id":"s1","method":"sampling/createMessage","params":{}}"#;
    let stream = format!("data: {asks}\n\n");
    let remote = Remote::start(move |asked| match asked.method {
        Method::GET => events_and_silence(&stream),
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    agent.hello().await;
    assert_eq!(agent.hears().await["method"], "sampling/createMessage");
    agent.say(json!({"jsonrpc": "2.0", "id": "s1", "result": {"text": "yes"}})).await;
    agent.leaves().await.unwrap();
    let answers = remote.of(&Method::POST);
    assert!(answers.iter().any(|asked| asked.message["result"]["text"] == "yes"), "{answers:?}");
}

#[tokio::test]
async fn a_cut_stream_goes_on_where_it_was() {
    let remote = Remote::start(|asked| match (&asked.method, asked.rpc()) {
        (_, "tools/call") => events(
            "id: 5\nretry: 10\ndata: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/progress\"}\n\n",
        ),
        (&Method::GET, _) if asked.header("last-event-id") == "5" => {
            events("id: 6\ndata: {\"jsonrpc\":\"2.0\",\"id\":3,\"result\":{\"done\":true}}\n\n")
        }
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    agent.hello().await;
    agent.ask(3, "tools/call").await;
    assert_eq!(agent.hears().await["method"], "notifications/progress");
    assert_eq!(agent.hears().await["result"]["done"], true);
    agent.leaves().await.unwrap();
    assert_eq!(remote.asked("tools/call").len(), 1, "a call is not made twice");
}

#[tokio::test]
async fn a_stream_cut_without_a_place_is_an_error_and_not_a_second_call() {
    let remote = Remote::start(|asked| match asked.rpc() {
        "tools/call" => events(": nothing\n\n"),
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    agent.hello().await;
    agent.ask(3, "tools/call").await;
    let heard = agent.hears().await;
    assert_eq!(heard["id"], 3);
    assert!(heard["error"]["message"].as_str().unwrap().contains("before its answer"), "{heard}");
    agent.leaves().await.unwrap();
    assert_eq!(remote.asked("tools/call").len(), 1);
}

#[tokio::test]
async fn a_forgotten_session_is_opened_anew_and_the_agent_notices_nothing() {
    let sessions = AtomicU32::new(0);
    let remote = Remote::start(move |asked| match asked.rpc() {
        "initialize" => opened(asked, &format!("s{}", sessions.fetch_add(1, Ordering::SeqCst))),
        "tools/list" if asked.header("mcp-session-id") == "s0" => status(404),
        "tools/list" => plain(200, &result(asked, &json!({"tools": []}))),
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    agent.hello().await;
    for id in [1, 2] {
        agent.ask(id, "tools/list").await;
    }
    let mut ids = vec![agent.hears().await, agent.hears().await];
    ids.sort_by_key(|heard| heard["id"].as_u64());
    assert!(ids.iter().all(|heard| heard["result"]["tools"].is_array()), "{ids:?}");
    agent.leaves().await.unwrap();
    assert_eq!(remote.asked("initialize").len(), 2);
    assert_eq!(remote.asked("notifications/initialized")[1].header("mcp-session-id"), "s1");
}

#[tokio::test]
async fn refusals_are_errors_of_their_requests_without_secrets() {
    let remote = Remote::start(|asked| match asked.rpc() {
        "a" => status(401),
        "b" => {
            let text = "your key the-secret is too old";
            plain(500, &json!({"error": {"message": text}}))
        }
        "c" => plain(
            400,
            &json!({"jsonrpc": "2.0", "id": 3, "error": {"code": -32602, "message": "m"}}),
        ),
        "d" => events("data: no json\n\n"),
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    agent.hello().await;
    for (id, method, says) in [
        (1, "a", "refuses the credentials"),
        (2, "b", "your key *** is too old"),
        (3, "c", "m"),
        (4, "d", "before its answer"),
    ] {
        agent.ask(id, method).await;
        let heard = agent.hears().await;
        assert_eq!(heard["id"], id, "{heard}");
        let said = heard["error"]["message"].as_str().unwrap().to_owned();
        assert!(said.contains(says) && !said.contains("the-secret"), "{heard}");
    }
    agent.say(json!("no message")).await;
    agent.send.write_all(b"{broken\n").await.unwrap();
    assert_eq!(agent.hears().await["error"]["code"], -32700);
    agent.leaves().await.unwrap();
}

#[tokio::test]
async fn without_sessions_a_request_is_cancelled_by_ending_its_stream() {
    let remote = Remote::start(|asked| match asked.rpc() {
        "tools/call" => events_and_silence(": here\n\n"),
        "tools/list" => plain(200, &result(asked, &json!({"tools": []}))),
        _ => usual(asked),
    })
    .await;
    let mut agent = Agent::to(&remote);
    let meta = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28"});
    let params = json!({"_meta": meta, "name": "slow", "arguments": {}});
    agent.say(json!({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params})).await;
    while remote.asked("tools/call").is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let params = json!({"_meta": meta, "requestId": 1});
    agent
        .say(json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": params}))
        .await;
    let list =
        json!({"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {"_meta": meta}});
    agent.say(list).await;
    assert_eq!(agent.hears().await["id"], 2);
    agent.leaves().await.unwrap();
    let call = &remote.asked("tools/call")[0];
    assert_eq!((call.header("mcp-method"), call.header("mcp-name")), ("tools/call", "slow"));
    assert_eq!(call.header("mcp-protocol-version"), "2026-07-28");
    assert!(remote.asked("notifications/cancelled").is_empty());
}

#[tokio::test]
async fn a_client_speaks_with_every_kind_of_server_through_the_program() {
    let (_one, port) = everything_over("streamableHttp");
    let (_two, older) = everything_over("sse");
    let (_three, ours) = served(&["--token", "open-sesame"]);
    let token = "Authorization=Bearer open-sesame".to_owned();
    let new = format!("http://127.0.0.1:{port}/mcp");
    let old = format!("http://127.0.0.1:{older}/sse");
    let options = ClientOptions::default();
    for (arguments, tool) in [
        (vec!["http".to_owned(), new], "get-sum"),
        (vec!["sse".to_owned(), old.clone()], "get-sum"),
        (vec!["http".to_owned(), old], "get-sum"),
        (vec!["http".to_owned(), ours, token], "add"),
    ] {
        let target = Target::program(example("bridged"), arguments.clone());
        let called = call(&target, tool, json!({"a": 20, "b": 22}), &options).await;
        let called = called.unwrap_or_else(|error| panic!("{arguments:?}: {error}"));
        assert!(called.text.contains("42"), "{arguments:?}: {called:?}");
    }
}

#[tokio::test]
async fn questions_of_a_server_reach_the_user_through_the_bridge() {
    let (_server, port) = everything_over("streamableHttp");
    let arguments = ["http".to_owned(), format!("http://127.0.0.1:{port}/mcp")];
    let target = Target::program(example("bridged"), arguments);
    let ask: Asker = Arc::new(|_| Box::pin(async { Told::Decline }));
    let options = ClientOptions { ask: Some(ask), ..ClientOptions::default() };
    let found = inspect(&target, &options).await.unwrap();
    let asks = found.tools.iter().find(|tool| tool.name.contains("elicitation")).unwrap();
    let called = call(&target, &asks.name, json!({}), &options).await.unwrap();
    assert!(called.text.to_lowercase().contains("decline"), "{called:?}");
}

#[tokio::test]
async fn the_program_ends_its_session_when_it_is_asked_to_end() {
    let remote = Remote::start(usual).await;
    let mut child = Command::new(example("bridged"))
        .args(["http", &remote.url])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    std::io::Write::write_all(
        &mut input,
        b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\",\"params\":{}}\n",
    )
    .unwrap();
    let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
    let line = tokio::task::spawn_blocking(move || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        line
    });
    assert!(line.await.unwrap().contains("far"));
    let pid = rustix::process::Pid::from_raw(child.id().cast_signed()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let code = tokio::task::spawn_blocking(move || child.wait().unwrap()).await.unwrap();
    assert_eq!(code.code(), Some(0));
    assert_eq!(remote.of(&Method::DELETE).len(), 1);
    drop(input);
}

#[tokio::test]
async fn the_end_of_the_older_transport_is_told_to_who_waits() {
    let remote = Remote::start(|asked| match asked.method {
        // Where to post, and then its end, before any answer.
        Method::GET => events("event: endpoint\ndata: /post?session=1\n\n"),
        _ => status(202),
    })
    .await;
    let target = Target::Sse { url: remote.url.clone(), headers: BTreeMap::new() };
    let mut agent = Agent::of(target);
    // Whether the stream's end or the request comes first, the bridge ends with an error.
    let _ =
        agent.send.write_all(b"{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"initialize\"}\n").await;
    let error = tokio::time::timeout(Duration::from_secs(30), agent.bridge).await.unwrap().unwrap();
    assert!(error.unwrap_err().to_string().contains("ended the stream"));
}

#[tokio::test]
async fn messages_are_posted_to_no_other_server() {
    let remote = Remote::start(|asked| match asked.method {
        Method::GET => events_and_silence("event: endpoint\ndata: http://127.0.0.2:1/post\n\n"),
        _ => status(202),
    })
    .await;
    let target = Target::Sse { url: remote.url.clone(), headers: BTreeMap::new() };
    let error = inspect(&target, &ClientOptions::default()).await.unwrap_err();
    assert!(error.to_string().contains("another server"), "{error}");
}
