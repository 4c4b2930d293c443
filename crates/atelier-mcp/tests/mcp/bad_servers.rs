//! The client with servers that do what none should.

use std::time::Duration;

use atelier_api::Fault;
use atelier_mcp::{Client, ClientOptions, Limits, McpError, Target, call, inspect};
use serde_json::json;

use crate::support::{gone, impatient};

/// A server in Python, of which `each` says what it does with the message `m`; `say` writes one.
fn python(each: &str) -> Target {
    let lines: Vec<_> = each.lines().map(|line| format!("    {line}")).collect();
    let script = format!(
        r#"
import json, os, sys, time
def say(**more):
    print(json.dumps(dict(jsonrpc="2.0", **more)), flush=True)
def hello(m):
    say(id=m["id"], result=dict(protocolVersion="2025-11-25", capabilities=dict(tools=dict()),
        serverInfo=dict(name="bad", version="1")))
for line in sys.stdin:
    m = json.loads(line)
{}
"#,
        lines.join("\n")
    );
    Target::program("python3", ["-c", &script])
}

async fn fails(target: &Target, options: &ClientOptions) -> McpError {
    inspect(target, options).await.expect_err("it must fail")
}

#[tokio::test]
async fn one_that_never_answers_is_quoted_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("echo $$ >{}; echo waiting for the moon >&2; sleep 600", file.display());
    let error = fails(&Target::program("sh", ["-c", &script]), &impatient()).await;
    assert_eq!(error.code(), "mcp.silent", "{error}");
    assert!(error.to_string().contains("waiting for the moon"), "{error}");
    let pid = std::fs::read_to_string(file).unwrap().trim().parse().unwrap();
    assert!(gone(pid).await);
}

#[tokio::test]
async fn one_that_dies_says_how_and_what_without_secrets() {
    let secrets = vec!["s3cr3t-key".to_owned()];
    let options = ClientOptions { secrets, ..ClientOptions::default() };
    let target = Target::program("sh", ["-c", "echo bad key s3cr3t-key >&2; exit 7"]);
    let error = fails(&target, &options).await;
    assert_eq!(error.code(), "mcp.died", "{error}");
    let said = error.to_string();
    assert!(said.contains("exit status: 7") && said.contains("bad key ***"), "{said}");
}

#[tokio::test]
async fn one_that_is_not_there() {
    let error = fails(&Target::program("no-such-program-here", ["x"]), &impatient()).await;
    assert_eq!((error.code(), error.exit().code()), ("mcp.start", 8), "{error}");
}

#[tokio::test]
async fn a_greeting_on_standard_output_is_passed_over_and_a_flood_is_not() {
    let greets = python(
        "print('Welcome!', flush=True)\nif m['method'] == 'initialize': hello(m)\nelif 'id' in m: say(id=m['id'], result=dict(tools=[]))",
    );
    assert_eq!(inspect(&greets, &impatient()).await.unwrap().server.as_deref(), Some("bad"));
    let error = fails(&Target::program("yes", ["LOG: hello"]), &impatient()).await;
    assert_eq!(error.code(), "mcp.garbage", "{error}");
    assert!(error.to_string().contains("LOG: hello"), "{error}");
}

#[tokio::test]
async fn a_line_without_end_and_output_without_end_are_cut() {
    let mut options = impatient();
    options.limits.message = 1 << 20;
    let endless = Target::program("sh", ["-c", "tr '\\0' x </dev/zero"]);
    let error = fails(&endless, &options).await;
    assert_eq!(error.code(), "mcp.too_much", "{error}");
    options.limits.output = 1 << 20;
    let talks = python("while True: say(method='notifications/x', params=dict(a='b' * 1000))");
    let error = fails(&talks, &options).await;
    assert_eq!(error.code(), "mcp.too_much", "{error}");
}

#[tokio::test]
async fn pages_that_go_in_a_circle_or_never_end_do_end() {
    let circle = python(
        "if m['method'] == 'initialize': hello(m)\nelif 'id' in m: say(id=m['id'], result=dict(tools=[], nextCursor='again'))",
    );
    let error = fails(&circle, &impatient()).await;
    assert!(error.to_string().contains("circle"), "{error}");
    let endless = python(
        "if m['method'] == 'initialize': hello(m)\nelif 'id' in m: say(id=m['id'], result=dict(tools=[], nextCursor=str(time.time_ns())))",
    );
    let error = fails(&endless, &impatient()).await;
    assert_eq!(error.code(), "mcp.too_much", "{error}");
}

#[tokio::test]
async fn answers_of_another_form_are_named() {
    let odd = python(
        "if m['method'] == 'initialize': hello(m)\nelif 'id' in m: say(id=m['id'], result=dict(tools=[dict(name=5)]))",
    );
    let error = fails(&odd, &impatient()).await;
    assert_eq!(error.code(), "mcp.protocol", "{error}");
    let refuses = python("say(id=m['id'], error=dict(code=-32000, message='no licence'))");
    let error = fails(&refuses, &impatient()).await;
    assert!(matches!(error, McpError::Refused { code: -32000, .. }), "{error}");
    assert!(error.to_string().contains("no licence"));
}

#[tokio::test]
async fn one_without_initialize_is_spoken_to_without_it() {
    let each = "
if m['method'] == 'server/discover':
  say(id=m['id'], result=dict(supportedVersions=['2026-07-28'], capabilities=dict(tools=dict()),
    resultType='complete', ttlMs=0, cacheScope='private'))
elif m['method'] == 'tools/list':
  say(id=m['id'], result=dict(tools=[], resultType='complete', ttlMs=0, cacheScope='private'))
elif 'id' in m: say(id=m['id'], error=dict(code=-32601, message='no such method'))";
    let found = inspect(&python(each), &impatient()).await.unwrap();
    assert_eq!((found.protocol.as_str(), found.server), ("2026-07-28", None));
    let neither = python("say(id=m['id'], error=dict(code=-32601, message='no such method'))");
    let error = fails(&neither, &impatient()).await;
    assert_eq!(error.code(), "mcp.refused", "{error}");
}

#[tokio::test]
async fn one_that_dies_in_a_call_or_takes_too_long_for_it() {
    let start = "if m['method'] == 'initialize': hello(m)\nelif m['method'] == 'tools/call':\n";
    let dies = python(&format!(
        "{start}  print('out of memory', file=sys.stderr, flush=True)\n  os._exit(9)"
    ));
    let error = call(&dies, "x", json!({}), &impatient()).await.unwrap_err();
    assert_eq!(error.code(), "mcp.died", "{error}");
    assert!(error.to_string().contains("out of memory"), "{error}");
    let slow = python(&format!("{start}  time.sleep(600)"));
    let error = call(&slow, "x", json!({}), &impatient()).await.unwrap_err();
    assert_eq!(error.code(), "mcp.silent", "{error}");
}

#[tokio::test]
async fn a_cancelled_conversation_ends_its_program_whole() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pid");
    let script = format!("sleep 600 & echo $! >{}; sleep 600", file.display());
    let target = Target::program("sh", ["-c", &script]);
    let options = ClientOptions::default();
    let connecting = Client::connect(&target, &options);
    let there = async {
        while !std::fs::read_to_string(&file).is_ok_and(|text| text.ends_with('\n')) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! { _ = connecting => panic!("it never answers"), () = there => {} }
    let pid = std::fs::read_to_string(&file).unwrap().trim().parse().unwrap();
    assert!(gone(pid).await);
}

#[tokio::test]
async fn a_remote_server_that_is_not_there_or_none_is_named_without_what_is_secret() {
    let target = Target::http("http://127.0.0.1:9/mcp?key=secret");
    let error = fails(&target, &impatient()).await;
    assert_eq!(error.code(), "mcp.unreachable", "{error}");
    let said = error.to_string();
    assert!(said.starts_with("http://127.0.0.1:9/mcp cannot be reached: "), "{said}");
    assert!(said.contains("refused") && !said.contains("secret"), "{said}");
    assert!(!said.contains("::"), "types are no words: {said}");
    let error = fails(&Target::http("ftp://x/y"), &impatient()).await;
    assert_eq!((error.code(), error.exit().code()), ("mcp.target", 5));
}

#[tokio::test]
async fn limits_can_be_given_in_small() {
    // What the others rely on: a limit of one page is kept.
    let limits = Limits { pages: 1, ..Limits::default() };
    let options = ClientOptions { limits, ..ClientOptions::default() };
    let two = python(
        "if m['method'] == 'initialize': hello(m)\nelif 'id' in m: say(id=m['id'], result=dict(tools=[], nextCursor='2'))",
    );
    assert_eq!(fails(&two, &options).await.code(), "mcp.too_much");
}
