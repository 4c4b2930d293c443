//! A server of ours that asks its user, and has resources and prompts: with a client, over the bridge too.

use std::sync::Arc;

use atelier_mcp::{
    Answer, Ask, Asker, Client, ClientOptions, Handshake, Target, call, defaults_of, inspect,
};
use serde_json::{Value, json};

use crate::support::{example, served};

fn stdio() -> Target {
    Target::program(example("served"), Vec::<String>::new())
}

fn asker(answer: Answer) -> Asker {
    Arc::new(move |asked| {
        let answer = answer.clone();
        Box::pin(async move {
            let Ask::Form { message, schema } = asked else { return Answer::Cancel };
            assert_eq!((message.as_str(), defaults_of(&schema)), ("Really?", json!({})));
            answer
        })
    })
}

#[tokio::test]
async fn a_tool_asks_the_user_on_both_transports_and_in_both_ways_of_the_protocol() {
    let (_server, url) = served(&[]);
    let answers = [
        (Answer::Accept(json!({})), "yes"),
        (Answer::Decline, "no"),
        (Answer::Cancel, "dismissed"),
    ];
    for target in [stdio(), Target::http(url)] {
        for handshake in [Handshake::Initialize, Handshake::Discover] {
            for (answer, word) in &answers {
                let ask = Some(asker(answer.clone()));
                let options = ClientOptions { ask, handshake, ..ClientOptions::default() };
                let question = json!({"message": "Really?"});
                let called = call(&target, "test_elicitation", question, &options).await.unwrap();
                assert_eq!((called.text.as_str(), called.failed), (*word, false), "{handshake:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_client_that_can_ask_nobody_is_told_so() {
    for handshake in [Handshake::Initialize, Handshake::Discover] {
        let options = ClientOptions { handshake, ..ClientOptions::default() };
        let question = json!({"message": "Really?"});
        let called = call(&stdio(), "test_elicitation", question, &options).await.unwrap();
        assert!(called.failed && called.text.contains("test.unable"), "{called:?}");
    }
}

#[tokio::test]
async fn questions_resources_and_prompts_pass_the_bridge() {
    let (_server, url) = served(&[]);
    let bridged = Target::program(example("bridged"), ["http".to_owned(), url]);
    let ask = Some(asker(Answer::Decline));
    let options = ClientOptions { ask, ..ClientOptions::default() };
    let found = inspect(&bridged, &options).await.unwrap();
    assert_eq!(found.resources[0].uri, "test://static-text");
    assert_eq!(found.prompts[0].name, "test_simple_prompt");
    let mut client = Client::connect(&bridged, &options).await.unwrap();
    let called = client.call("test_elicitation", json!({"message": "Really?"})).await.unwrap();
    assert_eq!(called.text, "no");
    client.close().await;
}

/// What a raw request over HTTP, of the revision without sessions, is answered.
async fn answered(url: &str, method: &str, mut params: Value) -> Value {
    let able = json!({"elicitation": {"form": {}}});
    params["_meta"] = json!({"io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientCapabilities": able});
    let name = params["name"].as_str().or(params["uri"].as_str()).unwrap_or_default().to_owned();
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    // Another test may have been first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let request = client
        .post(url)
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", "2026-07-28")
        .header("mcp-method", method)
        .header("mcp-name", name)
        .json(&body);
    let said = request.send().await.unwrap().text().await.unwrap();
    let line = said.lines().find_map(|line| line.strip_prefix("data: ")).unwrap_or(&said);
    serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {said}"))
}

#[tokio::test]
async fn an_answer_counts_for_the_very_words_that_were_asked() {
    let (_server, url) = served(&[]);
    let asks =
        |message: &str| json!({"name": "test_elicitation", "arguments": {"message": message}});
    let open = answered(&url, "tools/call", asks("Really?")).await;
    let requests = open["result"]["inputRequests"].as_object().unwrap().clone();
    assert_eq!(open["result"]["resultType"], "input_required", "{open}");
    let key = requests.keys().next().unwrap();
    let mut again = asks("Really?");
    again["inputResponses"] = json!({key: {"action": "accept", "content": {}}});
    let done = answered(&url, "tools/call", again.clone()).await;
    assert_eq!(done["result"]["content"][0]["text"], "yes", "{done}");
    again["arguments"]["message"] = json!("And now all of it?");
    let other = answered(&url, "tools/call", again).await;
    assert_eq!(other["result"]["resultType"], "input_required", "{other}");
}

#[tokio::test]
async fn what_is_not_on_the_shelf_is_told_by_its_name() {
    let (_server, url) = served(&[]);
    let read = |uri: &str| answered(&url, "resources/read", json!({ "uri": uri }));
    let found = read("test://template/7/data").await;
    assert_eq!(found["result"]["contents"][0]["text"], "data of 7", "{found}");
    let missing = read("test://nothing").await;
    assert_eq!(
        (&missing["error"]["code"], &missing["error"]["data"]["uri"]),
        (&json!(-32602), &json!("test://nothing"))
    );
    let broken = read("test://broken").await;
    assert_eq!(broken["error"]["data"]["code"], "test.full", "{broken}");
    let get = |name: &str, values: Value| {
        answered(&url, "prompts/get", json!({"name": name, "arguments": values}))
    };
    let whole = get("test_prompt_with_arguments", json!({"arg1": "x", "arg2": "y"})).await;
    assert_eq!(whole["result"]["messages"][0]["content"]["text"], "Say hello arg1=x arg2=y");
    let lacks = get("test_prompt_with_arguments", json!({"arg1": "x"})).await;
    assert!(lacks["error"]["message"].to_string().contains("needs arg2"), "{lacks}");
    let none = get("nothing", json!({})).await;
    assert!(none["error"]["message"].to_string().contains("no prompt"), "{none}");
}
