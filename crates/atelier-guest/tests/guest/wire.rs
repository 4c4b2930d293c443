//! What is on the wire, byte for byte: what E2B's clients send and expect.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};

use crate::harness::Running;

fn post(path: &str, kind: &str, headers: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n{headers}Content-Length: {length}\r\n\r\n"
    );
    [head.as_bytes(), body].concat()
}

fn get(path: &str, headers: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n").into_bytes()
}

/// Status line and headers, and the body with its chunks put together.
fn split(response: &[u8]) -> (String, Vec<u8>) {
    let at = response.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
    let head = String::from_utf8_lossy(&response[..at]).to_lowercase();
    let mut rest = &response[at + 4..];
    if !head.contains("transfer-encoding: chunked") {
        return (head, rest.to_vec());
    }
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|it| it == b"\r\n").unwrap();
        let size = std::str::from_utf8(&rest[..line]).unwrap();
        let size = usize::from_str_radix(size, 16).unwrap();
        rest = &rest[line + 2..];
        if size == 0 {
            return (head, body);
        }
        body.extend_from_slice(&rest[..size]);
        rest = &rest[size + 2..];
    }
}

/// The messages of a stream with their flags.
fn messages(mut body: &[u8]) -> Vec<(u8, String)> {
    let mut all = Vec::new();
    while let Some((header, rest)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes(header[1..].try_into().unwrap()) as usize;
        all.push((header[0], String::from_utf8(rest[..length].to_vec()).unwrap()));
        body = &rest[length..];
    }
    all
}

fn envelope(json: &str) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend_from_slice(&u32::try_from(json.len()).unwrap().to_be_bytes());
    bytes.extend_from_slice(json.as_bytes());
    bytes
}

const STREAM: &str = "application/connect+json";
const UNARY: &str = "application/json";

#[test]
fn a_started_process_is_a_stream_of_envelopes() {
    let running = Running::start();
    let json = r#"{"process":{"cmd":"/bin/sh","args":["-c","echo hi"],"envs":{}},"stdin":false}"#;
    let response = running.exchange(&post("/process.Process/Start", STREAM, "", &envelope(json)));
    let (head, body) = split(&response);
    assert!(head.starts_with("http/1.1 200"));
    assert!(head.contains("content-type: application/connect+json"));
    let messages = messages(&body);
    assert!(messages[0].1.starts_with(r#"{"event":{"start":{"pid":"#), "{messages:?}");
    assert_eq!(messages[1].1, r#"{"event":{"data":{"stdout":"aGkK","offset":"0"}}}"#);
    assert_eq!(
        messages[2].1,
        r#"{"event":{"end":{"exitCode":0,"exited":true,"status":"exit status 0","offset":"3"}}}"#
    );
    assert_eq!(messages[3], (2, "{}".to_owned()));
    assert_eq!(messages.len(), 4);
}

#[test]
fn a_refused_stream_is_a_200_whose_last_envelope_holds_the_error() {
    let running = Running::start();
    let response = running.exchange(&post(
        "/process.Process/Connect",
        STREAM,
        "",
        &envelope(r#"{"process":{"pid":999999}}"#),
    ));
    let (head, body) = split(&response);
    assert!(head.starts_with("http/1.1 200"));
    let expected =
        r#"{"error":{"code":"not_found","message":"process with pid 999999 not found"}}"#;
    assert_eq!(messages(&body), [(2, expected.to_owned())]);
}

#[test]
fn a_refused_call_has_the_status_of_its_code() {
    let running = Running::start();
    let stat = |body: &[u8]| {
        let path = "/filesystem.Filesystem/Stat";
        let (head, body) = split(&running.exchange(&post(path, UNARY, "", body)));
        (head[9..12].to_owned(), String::from_utf8(body).unwrap())
    };
    let (status, body) = stat(br#"{"path":"/no/such"}"#);
    assert_eq!(status, "404");
    assert!(body.starts_with(r#"{"code":"not_found","message":"#), "{body}");
    assert_eq!(stat(b"{broken").0, "400");
    let wrong = running.exchange(&post("/process.Process/List", "application/proto", "", b""));
    assert!(wrong.starts_with(b"HTTP/1.1 415"));
    let unknown = running.exchange(&post("/process.Process/Dance", UNARY, "", b"{}"));
    assert!(unknown.starts_with(b"HTTP/1.1 501"));
}

#[test]
fn a_process_that_says_nothing_is_kept_alive_on_the_wire() {
    let running = Running::start();
    let json = r#"{"process":{"cmd":"/bin/sleep","args":["1.5"]},"stdin":false}"#;
    let keepalive = "Keepalive-Ping-Interval: 1\r\n";
    let response =
        running.exchange(&post("/process.Process/Start", STREAM, keepalive, &envelope(json)));
    let messages = messages(&split(&response).1);
    assert_eq!(messages[1].1, r#"{"event":{"keepalive":{}}}"#);
}

#[test]
fn a_long_call_sends_input_as_envelopes() {
    let running = Running::start();
    let mut process = running.raw();
    let start = r#"{"process":{"cmd":"/bin/cat"},"tag":"cat","stdin":true}"#;
    std::io::Write::write_all(
        &mut process,
        &post("/process.Process/Start", STREAM, "", &envelope(start)),
    )
    .unwrap();
    let mut first = [0; 64];
    assert!(std::io::Read::read(&mut process, &mut first).unwrap() > 0);
    let input = [
        envelope(r#"{"start":{"process":{"tag":"cat"}}}"#),
        envelope(r#"{"keepalive":{}}"#),
        envelope(r#"{"data":{"input":{"stdin":"b25l"}}}"#),
        envelope(r#"{"data":{"input":{"stdin":"dHdv"}}}"#),
    ]
    .concat();
    let response = running.exchange(&post("/process.Process/StreamInput", STREAM, "", &input));
    assert_eq!(messages(&split(&response).1), [(0, "{}".to_owned()), (2, "{}".to_owned())]);
    let close = br#"{"process":{"tag":"cat"}}"#;
    let closed = running.exchange(&post("/process.Process/CloseStdin", UNARY, "", close));
    assert!(closed.starts_with(b"HTTP/1.1 200"));
    let mut rest = Vec::new();
    std::io::Read::read_to_end(&mut process, &mut rest).unwrap();
    let text = String::from_utf8_lossy(&rest).into_owned();
    assert!(text.contains("b25l"), "{text}");
    assert!(text.contains("\"exitCode\":0"), "{text}");
}

#[test]
fn a_form_writes_each_of_its_files_with_its_metadata() {
    let running = Running::start();
    let (a, b) = (running.path("a.txt"), running.path("sub/b.txt"));
    let form = format!(
        "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{a}\"\r\n\r\nAAA\r\n\
         --XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{b}\"\r\n\r\nBBB\r\n--XX--\r\n"
    );
    let kind = "multipart/form-data; boundary=XX";
    let headers = "X-Metadata-Author: me\r\n";
    let (head, body) = split(&running.exchange(&post("/files", kind, headers, form.as_bytes())));
    assert!(head.starts_with("http/1.1 200"), "{head}");
    let written: Vec<serde_json::Value> = serde_json::from_slice(&body).unwrap();
    assert_eq!((&written[0]["path"], &written[0]["type"]), (&a.clone().into(), &"file".into()));
    assert_eq!(std::fs::read(&a).unwrap(), b"AAA");
    assert_eq!(std::fs::read(&b).unwrap(), b"BBB");
    // Not every file system of a test machine keeps attributes.
    if let Some(metadata) = written[0].get("metadata") {
        assert_eq!(metadata["author"], "me");
        let plain = post(&format!("/files?path={a}"), "application/octet-stream", "", b"C");
        let (_, body) = split(&running.exchange(&plain));
        assert!(!String::from_utf8(body).unwrap().contains("metadata"));
    }
}

#[test]
fn a_part_of_a_file_is_served_and_gzip_on_request() {
    let running = Running::start();
    let file = running.path("f");
    std::fs::write(&file, "0123456789").unwrap();
    let path = format!("/files?path={file}");
    let (head, body) = split(&running.exchange(&get(&path, "Range: bytes=2-4\r\n")));
    assert!(head.starts_with("http/1.1 206") && head.contains("content-range: bytes 2-4/10"));
    assert_eq!(body, b"234");
    let (head, _) = split(&running.exchange(&get(&path, "Range: bytes=50-\r\n")));
    assert!(head.starts_with("http/1.1 416"));
    let (head, body) = split(&running.exchange(&get(&path, "Accept-Encoding: gzip\r\n")));
    assert!(head.contains("content-encoding: gzip"));
    assert_eq!(body[..2], [0x1f, 0x8b]);
    let upload = post(
        &format!("/files?path={}", running.path("g")),
        "application/octet-stream",
        "Content-Encoding: gzip\r\n",
        &body,
    );
    assert!(running.exchange(&upload).starts_with(b"HTTP/1.1 200"));
    assert_eq!(std::fs::read(running.path("g")).unwrap(), b"0123456789");
}

#[test]
fn a_watched_folder_tells_three_events_of_a_new_file() {
    let running = Running::start();
    let folder = running.path("watched");
    std::fs::create_dir(&folder).unwrap();
    let call = |method: &str, json: String| {
        let path = format!("/filesystem.Filesystem/{method}");
        let (head, body) = split(&running.exchange(&post(&path, UNARY, "", json.as_bytes())));
        assert!(head.starts_with("http/1.1 200"), "{head}");
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let created = call("CreateWatcher", format!(r#"{{"path":"{folder}","recursive":true}}"#));
    let id = created["watcherId"].as_str().unwrap();
    let kind = "application/octet-stream";
    running.exchange(&post(&format!("/files?path={folder}/new"), kind, "", b"hello"));
    let events = call("GetWatcherEvents", format!(r#"{{"watcherId":"{id}"}}"#));
    let seen: Vec<_> = events["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| (event["name"].as_str().unwrap(), event["type"].as_str().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [("new", "EVENT_TYPE_CREATE"), ("new", "EVENT_TYPE_CHMOD"), ("new", "EVENT_TYPE_WRITE")]
    );
    call("RemoveWatcher", format!(r#"{{"watcherId":"{id}"}}"#));
}

#[test]
fn a_folder_made_in_a_watched_one_is_watched_too() {
    let running = Running::start();
    let folder = running.path("watched");
    std::fs::create_dir(&folder).unwrap();
    let call = |method: &str, json: String| {
        let path = format!("/filesystem.Filesystem/{method}");
        split(&running.exchange(&post(&path, UNARY, "", json.as_bytes()))).1
    };
    let created = call("CreateWatcher", format!(r#"{{"path":"{folder}","recursive":true}}"#));
    let created: serde_json::Value = serde_json::from_slice(&created).unwrap();
    let id = created["watcherId"].as_str().unwrap();
    call("MakeDir", format!(r#"{{"path":"{folder}/inner"}}"#));
    let kind = "application/octet-stream";
    running.exchange(&post(&format!("/files?path={folder}/inner/f"), kind, "", b"hello"));
    let events = call("GetWatcherEvents", format!(r#"{{"watcherId":"{id}"}}"#));
    let events = String::from_utf8(events).unwrap();
    assert!(events.contains(r#"{"name":"inner","type":"EVENT_TYPE_CREATE"}"#), "{events}");
    assert!(events.contains(r#"{"name":"inner/f","type":"EVENT_TYPE_WRITE"}"#), "{events}");
}

#[test]
fn files_are_joined() {
    let running = Running::start();
    let (a, b, whole) = (running.path("a"), running.path("b"), running.path("whole"));
    std::fs::write(&a, "one ").unwrap();
    std::fs::write(&b, "two").unwrap();
    let json = format!(r#"{{"source_paths":["{a}","{b}"],"destination":"{whole}"}}"#);
    let (head, _) = split(&running.exchange(&post("/files/compose", UNARY, "", json.as_bytes())));
    assert!(head.starts_with("http/1.1 200"));
    assert_eq!(std::fs::read(&whole).unwrap(), b"one two");
    assert!(!std::path::Path::new(&a).exists());
}

/// A signature as the SDKs make it, for the token of the tests.
fn signature(path: &str, operation: &str, expiration: &str) -> String {
    let text = format!("{path}:{operation}::secret:{expiration}");
    format!("v1_{}", STANDARD_NO_PAD.encode(Sha256::digest(text.as_bytes())))
}

#[test]
fn a_signed_address_is_good_until_its_time_and_for_what_was_signed() {
    let running = Running::start_with(&["--token-env", "GUEST_TEST_TOKEN"]);
    let asked = |expiration: &str, signature: &str| {
        let signature = signature.replace('+', "%2B").replace('/', "%2F");
        let query = format!("signature={signature}&signature_expiration={expiration}");
        let path = format!("/files?path=/etc/passwd&{query}");
        let (head, body) = split(&running.exchange(&get(&path, "")));
        (head.lines().next().unwrap().to_owned(), String::from_utf8(body).unwrap())
    };
    let (late, past) = ("99999999999", "1000000000");
    let (status, body) = asked(late, &signature("/etc/passwd", "read", late));
    assert!(status.contains("200") && body.contains("root:"), "{status}: {body}");
    for (expiration, signature, why) in [
        (past, signature("/etc/passwd", "read", past), "signature is already expired"),
        (late, signature("/etc/passwd", "read", past), "invalid signature"),
        (late, signature("/etc/passwd", "write", late), "invalid signature"),
        (late, signature("/etc/shadow", "read", late), "invalid signature"),
        ("soon", signature("/etc/passwd", "read", "soon"), "invalid signature"),
    ] {
        let (status, body) = asked(expiration, &signature);
        assert!(status.contains("401") && body.contains(why), "{why}: {status}: {body}");
        assert!(!body.contains("root:"), "{why}");
    }
}
