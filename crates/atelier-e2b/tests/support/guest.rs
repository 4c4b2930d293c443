//! A guest that writes down what it is asked and answers as a test says.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use atelier_guest::wire::{
    Blob, DataEvent, Decoder, EndEvent, EventMessage, ProcessEvent, STREAM_TYPE, StartEvent,
    StartRequest, Stream, end_frame, json_frame,
};
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// A command that never ends.
pub const HANG: &str = "hang";

/// A command that ran.
#[derive(Debug, Clone)]
pub struct Ran {
    pub user: String,
    pub command: String,
    pub folder: Option<String>,
    pub variables: BTreeMap<String, String>,
}

type Answer = Box<dyn Fn(&Ran) -> (i32, String) + Send>;

/// What it saw, and what it is to answer.
#[derive(Clone)]
pub struct Script(Arc<Mutex<Seen>>);

struct Seen {
    ran: Vec<Ran>,
    files: BTreeMap<String, Vec<u8>>,
    answer: Answer,
}

impl Script {
    pub fn ran(&self) -> Vec<Ran> {
        self.0.lock().unwrap().ran.clone()
    }

    pub fn files(&self) -> BTreeMap<String, Vec<u8>> {
        self.0.lock().unwrap().files.clone()
    }

    /// What commands end with and write.
    pub fn answer(&self, answer: impl Fn(&Ran) -> (i32, String) + Send + 'static) {
        self.0.lock().unwrap().answer = Box::new(answer);
    }

    pub fn forget(&self) {
        self.0.lock().unwrap().ran.clear();
    }
}

/// Commands that only print are run; the others do nothing.
pub fn printing(ran: &Ran) -> (i32, String) {
    if ran.command.starts_with("printf ") {
        let mut shell = std::process::Command::new("sh");
        let output = shell.args(["-c", &ran.command]).envs(&ran.variables).output().unwrap();
        return (0, String::from_utf8(output.stdout).unwrap());
    }
    let folder = ran.command.strip_prefix("cd \"").and_then(|rest| rest.strip_suffix("\" && pwd"));
    (0, folder.unwrap_or_default().to_owned())
}

pub fn start(socket: &Path) -> Script {
    // One of before a restart may still be there.
    let _ = std::fs::remove_file(socket);
    let seen = Seen { ran: Vec::new(), files: BTreeMap::new(), answer: Box::new(printing) };
    let script = Script(Arc::new(Mutex::new(seen)));
    let router = Router::new()
        .route("/process.Process/Start", post(run))
        .route("/filesystem.Filesystem/Stat", post(absent))
        .route("/files", post(write))
        .route("/health", get(|| async { StatusCode::NO_CONTENT }))
        .with_state(script.clone());
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    script
}

async fn absent() -> Response {
    let body = serde_json::json!({"code": "not_found", "message": "nothing is there"});
    (StatusCode::NOT_FOUND, Json(body)).into_response()
}

async fn write(
    State(script): State<Script>,
    Query(query): Query<BTreeMap<String, String>>,
    body: Bytes,
) -> Json<serde_json::Value> {
    let path = query["path"].clone();
    script.0.lock().unwrap().files.insert(path.clone(), body.to_vec());
    Json(serde_json::json!([{"name": "files.tar", "path": path, "type": "file"}]))
}

async fn run(State(script): State<Script>, headers: HeaderMap, body: Bytes) -> Response {
    let mut decoder = Decoder::default();
    decoder.push(&body);
    let frame = decoder.next_frame().unwrap().unwrap();
    let request: StartRequest = serde_json::from_slice(&frame.message).unwrap();
    let user = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Basic ").unwrap();
    let user = String::from_utf8(STANDARD.decode(user).unwrap()).unwrap();
    let ran = Ran {
        user: user.trim_end_matches(':').to_owned(),
        command: request.process.args.last().unwrap().clone(),
        folder: request.process.cwd,
        variables: request.process.envs,
    };
    if ran.user == "root123" {
        let refused = serde_json::json!({"error": {
            "code": "unauthenticated", "message": "invalid username: 'root123'"}});
        let frame = atelier_guest::wire::encode(
            atelier_guest::wire::END_STREAM,
            refused.to_string().as_bytes(),
        );
        return ([(header::CONTENT_TYPE, STREAM_TYPE)], frame.to_vec()).into_response();
    }
    if ran.command == HANG {
        script.0.lock().unwrap().ran.push(ran);
        return std::future::pending().await;
    }
    let (exit_code, output) = {
        let mut seen = script.0.lock().unwrap();
        let answer = (seen.answer)(&ran);
        seen.ran.push(ran);
        answer
    };
    ([(header::CONTENT_TYPE, STREAM_TYPE)], events(exit_code, &output)).into_response()
}

fn events(exit_code: i32, output: &str) -> Vec<u8> {
    let data = DataEvent {
        stream: Stream::Stdout,
        bytes: Blob::from(output.as_bytes().to_vec()).0,
        offset: None,
    };
    let end = EndEvent {
        exit_code,
        exited: true,
        status: format!("exit status {exit_code}"),
        ..EndEvent::default()
    };
    let all = [
        ProcessEvent::Start(StartEvent { pid: 7, offset: None }),
        ProcessEvent::Data(data),
        ProcessEvent::End(end),
    ];
    let mut bytes = Vec::new();
    for event in all {
        bytes.extend_from_slice(&json_frame(&EventMessage { event }).unwrap());
    }
    bytes.extend_from_slice(&end_frame(None));
    bytes
}
