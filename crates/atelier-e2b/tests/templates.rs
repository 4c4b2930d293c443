//! Templates over the E2B API: building with a guest that writes down what it is asked, tags,
//! aliases, uploads.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod support;

use std::time::Duration;

use serde_json::{Value, json};
use support::guest::{HANG, Ran, printing};
use support::{Server, http};

async fn server() -> Server {
    let server = Server::start().await;
    server.door.world.lock().unwrap().with_base();
    server
}

/// Asks for a build; the path of its requests.
async fn request(server: &Server, body: Value) -> String {
    let asked = server.post("/v3/templates", body).await.expect(202);
    let (template, build) =
        (asked["templateID"].as_str().unwrap(), asked["buildID"].as_str().unwrap());
    format!("/templates/{template}/builds/{build}")
}

/// Starts a build and waits for its end.
async fn build(server: &Server, name: &str, plan: Value) -> Value {
    let path = request(server, json!({"name": name, "cpuCount": 1, "memoryMB": 1024})).await;
    server.post(&format!("/v2{path}"), plan).await.expect(202);
    ended(server, &path).await
}

async fn ended(server: &Server, path: &str) -> Value {
    for _ in 0..500 {
        let status = server.get(&format!("{path}/status")).await.expect(200);
        if !["building", "waiting"].contains(&status["status"].as_str().unwrap()) {
            return status;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the build does not end");
}

fn commands(server: &Server) -> Vec<String> {
    server.door.guest.ran().into_iter().map(|ran| ran.command).collect()
}

fn lines(status: &Value) -> Vec<String> {
    let entries = status["logEntries"].as_array().unwrap();
    entries.iter().map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn steps_are_done_in_a_sandbox_that_is_frozen_and_removed() {
    let server = server().await;
    let plan = json!({"fromImage": "ubuntu:22.04", "steps": [
        {"type": "RUN", "args": ["echo hi"]},
        {"type": "RUN", "args": ["id", "root"]},
        {"type": "ENV", "args": ["A", "1", "B", "$A-`x`"]},
        {"type": "WORKDIR", "args": ["app"]},
        {"type": "USER", "args": ["bob"]},
        {"type": "RUN", "args": ["make"]}]});
    let status = build(&server, "app", plan).await;
    assert_eq!(status["status"], "ready", "{status}");
    assert!(lines(&status).iter().any(|line| line == "[builder 1/6] RUN echo hi"));
    let ran = server.door.guest.ran();
    let of = |command: &str| ran.iter().find(|ran| ran.command == command).unwrap();
    assert_eq!(of("echo hi").user, "user", "the user of E2B's templates");
    assert_eq!(of("echo hi").folder.as_deref(), Some("/home/user"));
    assert_eq!(of("id").user, "root");
    assert_eq!(
        (of("make").user.as_str(), of("make").folder.as_deref()),
        ("bob", Some("/home/user/app"))
    );
    assert_eq!(of("make").variables["B"], "1-`x`", "variables are expanded, commands are not run");
    let world = server.door.world.lock().unwrap();
    assert!(world.sandboxes.is_empty(), "the sandbox is gone");
    let commit = world.called("template.commit").pop().unwrap();
    assert_eq!(commit["name"], "app");
    assert_eq!(commit["spec"]["user"], "bob");
    assert_eq!(commit["spec"]["workdir"], "/home/user/app");
    assert_eq!(commit["spec"]["resources"], json!({"cpus": 1.0, "memory": 1 << 30}));
}

#[tokio::test]
async fn files_are_uploaded_and_put_in_their_place() {
    let server = server().await;
    let path = request(&server, json!({"name": "files"})).await;
    let template = path.split('/').nth(2).unwrap();
    let hash = "ab".repeat(32);
    let link = format!("/templates/{template}/files/{hash}");
    server.get(&format!("/templates/{template}/files/short")).await.message(400);
    let first = server.get(&link).await.expect(201);
    assert_eq!(first["present"], false);
    let url = first["url"].as_str().unwrap().strip_prefix(&server.door.base).unwrap().to_owned();
    let put = async |url: &str, bytes: Vec<u8>| {
        let nobody = [("x-api-key", "none")];
        http::send(server.address, "PUT", url, &nobody, bytes).await
    };
    put("/e2b-uploads/guessed", vec![1]).await.message(404);
    put(&url, vec![0; (1 << 20) + 1]).await.message(413);
    assert_eq!(
        server.get(&link).await.expect(201)["present"],
        false,
        "what is too big is not kept"
    );
    put(&url, b"archive".to_vec()).await.expect(200);
    assert_eq!(server.get(&link).await.expect(201)["present"], true);

    let plan = json!({"fromTemplate": "base", "steps": [
        {"type": "COPY", "args": ["folder/*", "dst", "", "600"], "filesHash": hash}]});
    server.post(&format!("/v2{path}"), plan).await.expect(202);
    assert_eq!(ended(&server, &path).await["status"], "ready");
    let files = server.door.guest.files();
    let (inside, bytes) = files.iter().next().unwrap();
    assert_eq!(bytes, b"archive");
    let all = commands(&server);
    assert!(all.iter().any(|command| command.contains("tar -xf") && command.contains(inside)));
    let script = all.iter().find(|command| command.contains("COPY:")).unwrap();
    assert!(script.contains("target='dst'\nowner='user:user'\nmode='600'"));
    assert!(script.contains("/files/folder'\n"));
}

#[tokio::test]
async fn a_later_build_goes_on_where_an_earlier_one_was() {
    let server = server().await;
    let step =
        |command: &str, force: bool| json!({"type": "RUN", "args": [command], "force": force});
    let plan = |steps: Vec<Value>, force: bool| json!({"fromImage": "ubuntu:22.04", "steps": steps, "force": force});
    let first = plan(vec![step("one", false), step("two", false)], false);
    assert_eq!(build(&server, "a", first.clone()).await["status"], "ready");
    let ran = async |name: &str, plan: Value| {
        server.door.guest.forget();
        let status = build(&server, name, plan).await;
        assert_eq!(status["status"], "ready", "{status}");
        commands(&server)
            .into_iter()
            .filter(|c| ["one", "two", "three"].contains(&c.as_str()))
            .collect::<Vec<_>>()
    };
    assert!(ran("b", first).await.is_empty(), "nothing changed");
    let more = vec![step("one", false), step("two", false), step("three", false)];
    assert_eq!(ran("b", plan(more, false)).await, ["three"]);
    let anew = vec![step("one", false), step("two", true)];
    assert_eq!(ran("b", plan(anew, false)).await, ["two"]);
    let all = vec![step("one", false), step("two", false)];
    assert_eq!(ran("b", plan(all, true)).await, ["one", "two"]);
    let list = server.get("/v2/templates").await.expect(200);
    let names: Vec<_> =
        list.as_array().unwrap().iter().map(|own| own["templateID"].clone()).collect();
    assert_eq!(names.len(), 3, "kept points are not shown: {names:?}");
}

#[tokio::test]
async fn a_failure_names_its_step_and_says_why() {
    let server = server().await;
    let plan = json!({"fromImage": "ubuntu:22.04", "steps": [
        {"type": "RUN", "args": ["true"]}, {"type": "RUN", "args": ["whoami", "root123"]}]});
    let status = build(&server, "bad", plan).await;
    assert_eq!(status["status"], "error");
    assert_eq!(
        status["reason"]["message"],
        "failed to run command 'whoami': command failed: unauthenticated: invalid username: 'root123'"
    );
    assert_eq!(status["reason"]["step"], "2");
    server.door.guest.answer(|ran: &Ran| {
        if ran.command == "boom" { (3, "because\n".into()) } else { printing(ran) }
    });
    let plan = json!({"fromImage": "ubuntu:22.04", "steps": [{"type": "RUN", "args": ["boom"]}]});
    let status = build(&server, "bad", plan).await;
    assert_eq!(status["reason"]["message"], "failed to run command 'boom': exit status 3");
    assert!(lines(&status).contains(&"[builder 1/1] [stdout]: because".to_owned()));
    let status = build(&server, "bad", json!({"fromTemplate": "absent"})).await;
    assert_eq!(status["reason"]["message"], "template 'absent' not found");
    assert_eq!(status["reason"]["step"], "base");
    let world = server.door.world.lock().unwrap();
    assert!(world.sandboxes.is_empty());
    assert!(!world.names().contains(&"bad"));
}

#[tokio::test]
async fn the_start_command_is_tried_until_it_is_ready() {
    let server = server().await;
    let tries = std::sync::atomic::AtomicU32::new(0);
    server.door.guest.answer(move |ran: &Ran| match ran.command.as_str() {
        "is-ready" if tries.fetch_add(1, std::sync::atomic::Ordering::Relaxed) == 0 => {
            (1, String::new())
        }
        _ => printing(ran),
    });
    let plan = json!({"fromTemplate": "base", "startCmd": "serve", "readyCmd": "is-ready"});
    assert_eq!(build(&server, "served", plan).await["status"], "ready");
    let commit = server.door.world.lock().unwrap().called("template.commit").pop().unwrap();
    assert_eq!(
        (&commit["spec"]["start"], &commit["spec"]["ready"]),
        (&json!("serve"), &json!("is-ready"))
    );

    server.door.guest.answer(|ran: &Ran| {
        if ran.command.ends_with("serve") { (1, String::new()) } else { printing(ran) }
    });
    let status =
        build(&server, "served", json!({"fromTemplate": "base", "startCmd": "serve"})).await;
    assert_eq!(status["reason"]["step"], "finalize");
    assert!(status["reason"]["message"].as_str().unwrap().starts_with("start command failed"));
}

#[tokio::test]
async fn a_restart_leaves_no_build_that_never_ends() {
    let server = server().await;
    let waiting = request(&server, json!({"name": "waits"})).await;
    let building = request(&server, json!({"name": "broken"})).await;
    let plan = json!({"fromTemplate": "base", "steps": [{"type": "RUN", "args": [HANG]}]});
    server.post(&format!("/v2{building}"), plan).await.expect(202);
    assert_eq!(server.get(&format!("{building}/status")).await.expect(200)["status"], "building");
    while !commands(&server).contains(&HANG.to_owned()) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let after = server.restarted().await;
    after.e2b.sweep(&after.door).await.unwrap();
    let status = after.get(&format!("{building}/status")).await.expect(200);
    assert_eq!(status["status"], "error");
    assert!(status["reason"]["message"].as_str().unwrap().contains("interrupted"));
    assert!(after.door.world.lock().unwrap().sandboxes.is_empty(), "its sandbox is removed");
    let status = after.get(&format!("{waiting}/status")).await.expect(200);
    assert_eq!(status["status"], "waiting", "it was not begun, and can still be");
    after.post(&format!("/v2{waiting}"), json!({"fromTemplate": "base"})).await.expect(202);
    assert_eq!(ended(&after, &waiting).await["status"], "ready");
}

#[tokio::test]
async fn a_build_is_started_once() {
    let server = server().await;
    let path = request(&server, json!({"name": "once"})).await;
    let start = async || server.post(&format!("/v2{path}"), json!({"fromTemplate": "base"})).await;
    start().await.expect(202);
    start().await.message(409);
    ended(&server, &path).await;
    let other = path.replace("/once/", "/other/");
    server.get(&format!("{other}/status")).await.message(404);
    server.get("/templates/once/builds/nonsense/status").await.message(400);
}

#[tokio::test]
async fn logs_are_given_in_pages() {
    let server = server().await;
    server.door.guest.answer(|ran: &Ran| {
        if ran.command == "many" { (0, "line\n".repeat(250)) } else { printing(ran) }
    });
    let path = request(&server, json!({"name": "chatty"})).await;
    let plan = json!({"fromTemplate": "base", "steps": [{"type": "RUN", "args": ["many"]}]});
    server.post(&format!("/v2{path}"), plan).await.expect(202);
    ended(&server, &path).await;
    let (mut offset, mut all) = (0, 0);
    loop {
        let page =
            server.get(&format!("{path}/status?logsOffset={offset}&level=info")).await.expect(200);
        let count = lines(&page).len();
        assert!(count <= 100);
        all += lines(&page).iter().filter(|line| line.ends_with(": line")).count();
        offset += count;
        if count == 0 {
            break;
        }
    }
    assert_eq!(all, 250);
    let back = server.get(&format!("{path}/logs?direction=backward&limit=1")).await.expect(200);
    assert_eq!(back["logs"][0]["message"], "Build finished");
}

#[tokio::test]
async fn tags_are_given_listed_and_taken() {
    let server = server().await;
    let asked =
        server.post("/v3/templates", json!({"name": "tagged:v1", "tags": ["v2", "v1"]})).await;
    let asked = asked.expect(202);
    assert_eq!(asked["tags"], json!(["v1", "v2"]));
    let path = format!("/templates/tagged/builds/{}", asked["buildID"].as_str().unwrap());
    server.post(&format!("/v2{path}"), json!({"fromTemplate": "base"})).await.expect(202);
    assert_eq!(ended(&server, &path).await["status"], "ready");
    let assign = async |target: &str, tags: Value| {
        server.post("/templates/tags", json!({"target": target, "tags": tags})).await
    };
    let given = assign("tagged:v1", json!(["stable", "default"])).await.expect(201);
    assert_eq!(given["tags"], json!(["stable", "default"]));
    assert!(uuid::Uuid::parse_str(given["buildID"].as_str().unwrap()).is_ok());
    for bad in [":x", "tagged:"] {
        assign("tagged:v1", json!([bad])).await.message(400);
    }
    assign("tagged:absent", json!(["x"])).await.message(404);
    assert!(server.door.world.lock().unwrap().names().contains(&"tagged"), "the default tag");

    let take = async |tags: Value| {
        let body = json!({"name": "tagged", "tags": tags}).to_string().into_bytes();
        http::send(server.address, "DELETE", "/templates/tags", &[], body).await
    };
    take(json!(["v2"])).await.expect(204);
    take(json!(["default"])).await.message(400);
    let tags = server.get("/templates/tagged/tags").await.expect(200);
    let mut names: Vec<_> =
        tags.as_array().unwrap().iter().map(|tag| tag["tag"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["default", "stable", "v1"]);
    assert_eq!(server.get("/templates/tagged/tags/count").await.expect(200), json!({"total": 3}));
    let exists = server.get("/templates/tagged/tags/exists?tag=V1").await.expect(200);
    assert_eq!(exists, json!({"exists": true, "normalizedTag": "v1"}));
    server.get("/templates/tagged/tags/groups").await.expect(200);
    let all = server.get("/templates/tagged/tags/v1/assignments").await.expect(200);
    assert_eq!(all["data"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_name_exists_when_something_starts_from_it() {
    let server = server().await;
    let check = async |alias: &str| server.get(&format!("/templates/aliases/{alias}")).await;
    assert_eq!(check("base").await.expect(200)["templateID"], "base");
    check("base:nope").await.message(404);
    check("nonexistent").await.message(404);
    check("ns%2Fbase").await.message(400);
    server.get("/templates/nonexistent").await.message(404);
    let shown = server.get("/templates/base").await.expect(200);
    for required in [
        "templateID",
        "buildID",
        "cpuCount",
        "memoryMB",
        "diskSizeMB",
        "public",
        "aliases",
        "names",
        "createdAt",
        "updatedAt",
        "spawnCount",
        "buildCount",
        "envdVersion",
        "buildStatus",
        "builds",
    ] {
        assert!(!shown[required].is_null(), "{required}");
    }
    server.delete("/templates/base").await.expect(204);
    server.delete("/templates/base").await.message(404);
}
