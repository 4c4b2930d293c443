//! Sandboxes and snapshots over the E2B API, request by request.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use serde_json::{Value, json};
use support::{KEY, Server, http};

async fn server() -> Server {
    let server = Server::start().await;
    server.door.world.lock().unwrap().with_base();
    server
}

async fn create(server: &Server, more: Value) -> String {
    let mut body = json!({"templateID": "base"});
    body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let made = server.post("/v2/sandboxes", body).await.expect(201);
    made["sandboxID"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn a_sandbox_is_made_as_it_was_asked_for() {
    let server = server().await;
    let made = server
        .post(
            "/v2/sandboxes",
            json!({"templateID": "base", "metadata": {"a": "b"}, "envVars": {"X": "1"},
                "autoPause": true, "autoResume": {"enabled": true}, "iam": {}, "mcp": {"x": {}},
                "network": {"allowPublicTraffic": false, "denyOut": ["8.8.8.8"],
                    "maskRequestHost": "my.host:${PORT}"}}),
        )
        .await
        .expect(201);
    for required in ["templateID", "sandboxID", "clientID", "envdVersion", "envdAccessToken"] {
        assert!(made[required].is_string(), "{required}");
    }
    assert_eq!(made["domain"], "sandboxes.test:8443");
    assert_eq!(made["trafficAccessToken"], "traffic");
    let input = server.door.world.lock().unwrap().called("sandbox.create").remove(0);
    assert_eq!(input["timeout"], 300);
    assert_eq!(input["variables"], json!({"X": "1"}));
    assert_eq!(input["on_expiry"], "pause");
    assert_eq!(input["auto_resume"], true);
    assert_eq!(input["public"], false);
    assert_eq!(input["request_host"], "my.host:${PORT}");
    assert_eq!(input["network"]["deny"], json!(["8.8.8.8"]));
}

#[tokio::test]
async fn older_clients_use_older_paths_and_times() {
    let server = server().await;
    let body = json!({"templateID": "base", "secure": false});
    let made = server.post("/sandboxes", body).await.expect(201);
    assert!(made["envdAccessToken"].is_string(), "access needs the token, whatever was asked");
    assert!(made.get("trafficAccessToken").is_none(), "it is public");
    let input = server.door.world.lock().unwrap().called("sandbox.create").remove(0);
    assert_eq!(input["timeout"], 15);
    let id = made["sandboxID"].as_str().unwrap();
    let path = format!("/sandboxes/{id}-client/connect");
    server.post(&path, json!({"timeout": 60})).await.expect(200);
}

#[tokio::test]
async fn an_unknown_template_is_named() {
    let server = server().await;
    let answer = server.post("/v2/sandboxes", json!({"templateID": "nope"})).await;
    assert_eq!(answer.message(404), "template 'nope' not found");
    let answer = server.post("/v2/sandboxes", json!({"templateID": 5})).await;
    assert!(answer.message(400).starts_with("Error when parsing request"));
}

#[tokio::test]
async fn only_who_has_the_key_comes_in() {
    let server = server().await;
    let headers = [("x-api-key", "e2b_00")];
    let answer = http::send(server.address, "GET", "/v2/sandboxes", &headers, Vec::new()).await;
    assert!(answer.message(401).contains("key"));
}

#[tokio::test]
async fn detail_has_what_generated_clients_require() {
    let server = server().await;
    let id = create(&server, json!({"metadata": {"k": "v"}, "allow_internet_access": false})).await;
    let detail = server.get(&format!("/sandboxes/{id}")).await.expect(200);
    for required in [
        "templateID",
        "sandboxID",
        "clientID",
        "startedAt",
        "endAt",
        "cpuCount",
        "memoryMB",
        "diskSizeMB",
        "state",
        "envdVersion",
        "metadata",
        "network",
        "lifecycle",
    ] {
        assert!(!detail[required].is_null(), "{required}");
    }
    assert_eq!(detail["memoryMB"], 512);
    assert_eq!(detail["cpuCount"], 2);
    assert_eq!(detail["allowInternetAccess"], false);
    assert_eq!(detail["network"]["denyOut"], json!(["0.0.0.0/0"]));
    assert_eq!(detail["lifecycle"], json!({"autoResume": false, "onTimeout": "kill"}));
}

#[tokio::test]
async fn only_a_whole_id_names_a_sandbox() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    server.delete(&format!("/sandboxes/{}", &id[..12])).await.message(404);
    server.delete(&format!("/sandboxes/{id}")).await.expect(204);
    server.delete(&format!("/sandboxes/{id}")).await.message(404);
    server.get("/sandboxes/nonexistingsandbox").await.message(404);
}

#[tokio::test]
async fn connecting_never_shortens_a_life() {
    let server = server().await;
    let id = create(&server, json!({"timeout": 300})).await;
    let end = async || server.get(&format!("/sandboxes/{id}")).await.expect(200)["endAt"].clone();
    let before = end().await;
    server.post(&format!("/v2/sandboxes/{id}/connect"), json!({"timeout": 10})).await.expect(200);
    assert_eq!(end().await, before);
    server.post(&format!("/sandboxes/{id}/refreshes"), json!({"duration": 5})).await.expect(204);
    assert_eq!(end().await, before);
    server.post(&format!("/v2/sandboxes/{id}/connect"), json!({"timeout": 900})).await.expect(200);
    assert_ne!(end().await, before);
    server.post(&format!("/sandboxes/{id}/timeout"), json!({"timeout": 0})).await.expect(204);
    server.post(&format!("/sandboxes/{id}/connect"), json!({"timeout": 9})).await.message(404);
}

#[tokio::test]
async fn a_paused_sandbox_is_taken_up_by_connect() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let pause = format!("/sandboxes/{id}/pause");
    let resume = format!("/sandboxes/{id}/resume");
    assert!(server.post(&resume, json!({})).await.message(409).contains("already running"));
    server.post(&pause, json!({"memory": true})).await.expect(204);
    assert!(server.post(&pause, json!({})).await.message(409).contains("already paused"));
    let forked = server.post(&format!("/sandboxes/{id}/fork"), json!({})).await;
    assert!(forked.message(409).contains("cannot be forked"));
    server.post(&format!("/v2/sandboxes/{id}/connect"), json!({})).await.expect(201);
    server.post(&pause, json!({"requireHealthyGuest": true})).await.expect(204);
    server.post(&resume, Value::Null.clone()).await.message(400);
    let empty = http::send(server.address, "POST", &resume, &[], Vec::new()).await;
    empty.expect(201);
}

#[tokio::test]
async fn a_pause_without_memory_keeps_files_only() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let show = format!("/sandboxes/{id}");
    server.post(&format!("{show}/pause"), json!({"memory": false})).await.expect(204);
    let detail = server.get(&show).await.expect(200);
    assert_eq!((&detail["state"], &detail["pauseMode"]), (&json!("paused"), &json!("filesystem")));
    server.post(&format!("{show}/connect"), json!({"timeout": 60})).await.expect(201);
    server.post(&format!("{show}/pause"), json!({})).await.expect(204);
    let body = json!({"timeout": 60, "memory": false});
    server.post(&format!("/v2{show}/connect"), body).await.expect(201);
    let world = server.door.world.lock().unwrap();
    assert_eq!(world.called("sandbox.stop").len(), 2, "the memory that was kept is let go");
}

#[tokio::test]
async fn lists_are_filtered_ordered_and_paged() {
    let server = server().await;
    let first = create(&server, json!({"metadata": {"who": "me & you", "n": "1"}})).await;
    let second = create(&server, json!({"metadata": {"who": "me & you", "n": "2"}})).await;
    let other = create(&server, json!({"metadata": {"who": "me"}})).await;
    server.post(&format!("/sandboxes/{first}/pause"), json!({})).await.expect(204);
    // As SDKs do it: each word is encoded, then the pairs, then the query.
    let mine = "metadata=who%3Dme%252520%252526%252520you";
    let ids = async |query: &str| {
        let answer = server.get(&format!("/v2/sandboxes?{query}")).await;
        let list = answer.expect(200);
        let ids = list.as_array().unwrap().iter().map(|own| own["sandboxID"].as_str().unwrap());
        let next =
            answer.headers.get("x-next-token").map(|token| token.to_str().unwrap().to_owned());
        (ids.map(str::to_owned).collect::<Vec<_>>(), next)
    };
    assert_eq!(ids(mine).await.0, [second.clone(), first.clone()]);
    assert_eq!(ids(&format!("{mine}&order=asc")).await.0, [first.clone(), second.clone()]);
    assert_eq!(ids("state=paused").await.0, [first.as_str()]);
    assert_eq!(ids("state=running").await.0, [other.clone(), second.clone()]);
    assert_eq!(ids("state=running,paused&template=base").await.0.len(), 3);
    assert!(ids("template=unknown").await.0.is_empty());
    let (page, next) = ids(&format!("{mine}&limit=1")).await;
    assert_eq!(page, [second.as_str()]);
    let (page, next) = ids(&format!("{mine}&limit=1&nextToken={}", next.unwrap())).await;
    assert_eq!((page, next), (vec![first.clone()], None));
    server.get("/v2/sandboxes?nextToken=x").await.message(400);
    server.get("/v2/sandboxes?order=up").await.message(400);
    let old = server.get("/sandboxes").await.expect(200);
    assert_eq!(old.as_array().unwrap().len(), 2, "only those that run");
}

#[tokio::test]
async fn started_after_is_at_or_after_in_microseconds() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let started = server.get(&format!("/sandboxes/{id}")).await.expect(200);
    let started: jiff::Timestamp = started["startedAt"].as_str().unwrap().parse().unwrap();
    let micro = jiff::Timestamp::from_microsecond(started.as_microsecond()).unwrap();
    let count = async |after: jiff::Timestamp| {
        let path = format!("/v2/sandboxes?startedAfter={after}");
        server.get(&path).await.expect(200).as_array().unwrap().len()
    };
    assert_eq!(count(micro).await, 1);
    assert_eq!(count(micro + jiff::SignedDuration::from_secs(1)).await, 0);
}

#[tokio::test]
async fn an_idempotency_key_makes_one_sandbox() {
    let server = server().await;
    let keyed = async |key: &str, api_key: &str, template: &str| {
        let headers = [("idempotency-key", key), ("x-api-key", api_key)];
        let body = json!({"templateID": template}).to_string().into_bytes();
        http::send(server.address, "POST", "/v2/sandboxes", &headers, body).await
    };
    let (a, b) = tokio::join!(keyed("k1", KEY, "base"), keyed("k1", KEY, "base"));
    assert_eq!(a.expect(201)["sandboxID"], b.expect(201)["sandboxID"]);
    assert_ne!(keyed("k2", KEY, "base").await.expect(201)["sandboxID"], a.json()["sandboxID"]);
    let other = keyed("k1", KEY, "other").await;
    assert_eq!(other.expect(422)["error_code"], "idempotency_request_mismatch");
    // What failed is not remembered.
    keyed("k3", KEY, "nope").await.message(404);
    server.door.world.lock().unwrap().template("nope", json!({}));
    keyed("k3", KEY, "nope").await.expect(201);
}

#[tokio::test]
async fn forks_are_listed_one_by_one() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let path = format!("/sandboxes/{id}/fork");
    let forks = server.post(&path, json!({"count": 2, "timeout": 60})).await.expect(201);
    let forks = forks.as_array().unwrap();
    assert_eq!(forks.len(), 2);
    assert!(forks.iter().all(|fork| fork["sandbox"]["sandboxID"] != id.as_str()));
    for count in [0, 101] {
        server.post(&path, json!({"count": count})).await.message(400);
    }
}

#[tokio::test]
async fn the_network_is_replaced_as_a_whole() {
    let server = server().await;
    let id = create(&server, json!({"network": {"denyOut": ["1.1.1.1"]}})).await;
    let path = format!("/sandboxes/{id}/network");
    let put = async |body: Value| {
        http::send(server.address, "PUT", &path, &[], body.to_string().into_bytes()).await
    };
    put(json!({"rules": {"a.com": [{"transform": {"headers": {"X": 1}}}]}})).await.message(400);
    put(json!({"denyOut": ["8.8.8.8"]})).await.expect(204);
    put(json!({})).await.expect(204);
    put(json!({"rules": {"a.com": [{"transform": {"headers": {"X": "1"}}}]}})).await.expect(204);
    let calls = server.door.world.lock().unwrap().called("sandbox.network");
    assert_eq!(calls[0]["network"]["deny"], json!(["8.8.8.8"]));
    assert_eq!(calls[1]["network"], json!({"mode": "open"}));
    assert_eq!(calls[2]["network"]["rules"], json!({"a.com": {"headers": {"X": "1"}}}));
}

#[tokio::test]
async fn metrics_are_of_one_or_of_several() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let own = server.get(&format!("/sandboxes/{id}/metrics")).await.expect(200);
    for required in [
        "timestamp",
        "timestampUnix",
        "cpuCount",
        "cpuUsedPct",
        "memUsed",
        "memTotal",
        "memCache",
        "diskUsed",
        "diskTotal",
    ] {
        assert!(!own[0][required].is_null(), "{required}");
    }
    let path = format!("/sandboxes/{id}/metrics?start=1000&end=2000");
    assert_eq!(server.get(&path).await.expect(200), json!([]));
    let path = format!("/sandboxes/metrics?sandbox_ids={id},gone");
    let several = server.get(&path).await.expect(200);
    assert_eq!(several["sandboxes"].as_object().unwrap().keys().collect::<Vec<_>>(), [&id]);
}

#[tokio::test]
async fn snapshots_are_made_listed_used_and_removed() {
    let server = server().await;
    let id = create(&server, json!({})).await;
    let path = format!("/sandboxes/{id}/snapshots");
    let plain = server.post(&path, json!({})).await.expect(201);
    let named = server.post(&path, json!({"name": "snap-a_b"})).await.expect(201);
    assert_eq!(named["names"], json!(["snap-a_b"]));
    server.post(&path, json!({"name": "a b"})).await.message(400);
    let list = async |query: &str| {
        server.get(&format!("/snapshots?{query}")).await.expect(200).as_array().unwrap().len()
    };
    assert_eq!(list("").await, 2);
    assert_eq!(list(&format!("sandboxID={id}&limit=1")).await, 1);
    assert_eq!(list("name=snap-a_b").await, 1);
    assert_eq!(list("name=other").await, 0);
    let snapshot = plain["snapshotID"].as_str().unwrap();
    let body = json!({"templateID": format!("{snapshot}:default")});
    let again = server.post("/v2/sandboxes", body).await.expect(201);
    assert_eq!(again["templateID"], snapshot);
    server.delete(&format!("/templates/{snapshot}")).await.expect(204);
    server.delete(&format!("/templates/{snapshot}")).await.message(404);
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let server = server().await;
    for path in ["/teams", "/teams/x/metrics", "/nodes"] {
        let answer = server.get(path).await;
        assert!(answer.message(501).contains("not supported by this server"), "{path}");
        assert_eq!(answer.headers["should-retry"], "false", "{path}");
    }
    server.get("/health").await.expect(200);
}
