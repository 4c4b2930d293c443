//! `atelier tool search` over an MCP registry: a peer on this machine's loopback that answers as the API's
//! description says (v0.1), and counts what it is asked.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use super::Shed;

/// A registry of servers; it ends with the test.
struct Peer {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
    listener: TcpListener,
}

fn server(name: &str, about: &str, more: &Value) -> Value {
    let mut server = json!({"name": name, "description": about, "version": "1.0.0"});
    server.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    let official =
        json!({"status": "active", "publishedAt": "2026-01-01T00:00:00Z", "isLatest": true});
    json!({"server": server, "_meta": {"io.modelcontextprotocol.registry/official": official}})
}

fn servers() -> Vec<Value> {
    let remote =
        json!({"remotes": [{"type": "streamable-http", "url": "https://example.org/mcp"}]});
    let nuget =
        json!({"packages": [{"registryType": "nuget", "identifier": "x", "version": "1.0.0"}]});
    let mut all = vec![
        server("io.github.o/weather", "Forecasts for everywhere", &remote),
        server("io.github.p/weather-odd", "Nobody can install it", &nuget),
        server("com.example/tides", "When the sea comes", &remote),
    ];
    // More than a page of a hundred.
    all.extend((0..120).map(|n| server(&format!("com.many/sea-{n:03}"), "One of many", &remote)));
    all
}

impl Peer {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (own, seen) = (listener.try_clone().unwrap(), asked.clone());
        std::thread::spawn(move || {
            while let Ok((stream, _)) = own.accept() {
                let Some(path) = path_of(&stream) else { return };
                answer(stream, &path);
                seen.lock().unwrap().push(path);
            }
        });
        Self { url, asked, listener }
    }

    fn asked(&self) -> Vec<String> {
        std::mem::take(&mut *self.asked.lock().unwrap())
    }

    /// From now on nobody answers.
    fn stop(self) {
        let address = self.listener.local_addr().unwrap();
        // A connection that says nothing ends the thread.
        drop(TcpStream::connect(address).unwrap());
    }
}

fn path_of(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let first = lines.next()?.ok()?;
    lines.map_while(Result::ok).take_while(|line| !line.is_empty()).for_each(drop);
    Some(first.split(' ').nth(1)?.to_owned())
}

fn answer(mut stream: TcpStream, path: &str) {
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let value = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(n, _)| *n == name)
            .map(|(_, v)| v)
    };
    let all = servers();
    let body = match path {
        "/v0.1/servers" => {
            let word = value("search").unwrap_or_default();
            let named = |s: &&Value| s["server"]["name"].as_str().unwrap().contains(word);
            let found: Vec<_> = all.iter().filter(named).collect();
            let from = value("cursor").map_or(0, |c| c.parse::<usize>().unwrap());
            let limit = value("limit").map_or(30, |l| l.parse::<usize>().unwrap().min(100));
            let page: Vec<_> = found.iter().skip(from).take(limit).collect();
            let mut metadata = json!({"count": page.len()});
            if from + limit < found.len() {
                metadata["nextCursor"] = json!((from + limit).to_string());
            }
            Some(json!({"servers": page, "metadata": metadata}))
        }
        "/v0.1/servers/io.github.o%2Fweather/versions/latest" => Some(all[0].clone()),
        _ => None,
    };
    let (status, body) = match body {
        Some(body) => ("200 OK", body.to_string()),
        None => ("404 Not Found", json!({"title": "Not Found", "status": 404}).to_string()),
    };
    let head =
        format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    let _ = stream.write_all(format!("{head}{body}").as_bytes());
}

fn names(found: &Value) -> Vec<&str> {
    found["tools"].as_array().unwrap().iter().map(|hit| hit["name"].as_str().unwrap()).collect()
}

#[test]
fn servers_of_an_mcp_registry_are_found_added_and_kept_for_offline() {
    let (shed, peer) = (Shed::new(), Peer::start());
    shed.publish(
        "sea-map",
        &[("plugin.yaml", "schema_version: atelier/1\nname: Sea Map\ndescription: maps\n")],
    );
    shed.init();
    shed.ok(&["registry", "add", "servers", &peer.url, "--kind", "mcp"]);
    assert_eq!(peer.asked(), ["/v0.1/servers?search=&version=latest&limit=1"]);
    let listed = shed.ok(&["registry", "ls"]);
    assert!(listed.contains("mcp") && listed.contains(&peer.url), "{listed}");

    let found = shed.json(&["search", "weather"]);
    assert_eq!(names(&found), ["servers/io.github.o/weather", "servers/io.github.p/weather-odd"]);
    assert!(found["tools"][1]["problem"].is_string(), "{found}");
    assert_eq!(peer.asked().len(), 1);
    shed.json(&["search", "weather"]);
    assert!(peer.asked().is_empty(), "an hour has not gone by");

    // The pages are followed, and the home's other registry is searched as always.
    let sea = shed.json(&["search", "sea"]);
    let sea = names(&sea);
    assert_eq!((sea.len(), peer.asked().len()), (121, 2), "{sea:?}");
    assert_eq!((sea[0], sea[120]), ("sea-map", "servers/com.many/sea-119"));

    shed.ok(&["add", "servers/io.github.o/weather", "--yes"]);
    assert_eq!(peer.asked(), ["/v0.1/servers/io.github.o%2Fweather/versions/latest"]);
    let found = shed.json(&["search", "forecasts", "weather", "--offline"]);
    assert_eq!(
        (names(&found), &found["tools"][0]["installed"]),
        (vec!["servers/io.github.o/weather"], &json!(true))
    );
    assert!(peer.asked().is_empty(), "offline is offline");

    peer.stop();
    let stale = shed.json(&["search", "weather", "everywhere"]);
    assert_eq!(names(&stale), ["servers/io.github.o/weather"], "what is kept is searched");
    assert!(stale["registries"][1]["problem"].is_string(), "{stale}");
    shed.ok(&["registry", "remove", "servers"]);
    assert!(!shed.tools().join(".local/cache/registries/servers").exists());
}

#[test]
fn one_search_asks_an_mcp_registry_that_the_home_does_not_have() {
    let (shed, peer) = (Shed::new(), Peer::start());
    shed.publish(
        "sea-map",
        &[("plugin.yaml", "schema_version: atelier/1\nname: Sea Map\ndescription: maps\n")],
    );
    shed.init();
    let with = format!("--mcp={}", peer.url);
    assert_eq!(names(&shed.json(&["search", "tides"])), Vec::<&str>::new());
    assert!(peer.asked().is_empty(), "nobody asks who was not told to");
    let found = shed.json(&["search", &with, "tides"]);
    let hit = format!("mcp:{}#com.example/tides", peer.url);
    assert_eq!(names(&found), [hit.as_str()]);
    let text = shed.ok(&["search", &with]);
    assert!(text.contains("sea-map") && !text.contains("com.example"), "{text}");
}

#[test]
fn what_is_no_mcp_registry_is_refused_and_nothing_stays() {
    let shed = Shed::new();
    shed.publish("x-y", &[("plugin.yaml", "schema_version: atelier/1\nname: X\ndescription: x\n")]);
    shed.init();
    let peer = Peer::start();
    let elsewhere = format!("{}/elsewhere", peer.url);
    let says = ["does not answer as an MCP registry does"];
    shed.fails(&["registry", "add", "bad", &elsewhere, "--kind", "mcp"], 7, &says);
    shed.fails(
        &["registry", "add", "bad", &peer.url, "--kind", "mcp", "--ref", "main"],
        5,
        &["no `ref`"],
    );
    shed.fails(&["registry", "add", "bad"], 2, &["URL"]);
    assert_eq!(shed.json(&["registry", "ls"]).as_array().unwrap().len(), 1);
}
