//! A control plane that runs commands as plain processes of this machine: enough of the real one
//! to see how the command line behaves. It can be told to lose connections.

use std::collections::HashMap;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use atelier_api::env::EnvState;
use atelier_api::session::{Chunk, RunStart, Stream, ToClient, ToServer};
use atelier_api::{Environment, ExitCode, Problem};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Notify;
use tokio::sync::mpsc;

/// How a command ended: its code.
type Ended = Option<i32>;

/// The output of one command so far, and how it ended.
#[derive(Default)]
pub struct Process {
    log: Mutex<(Vec<(Stream, Vec<u8>)>, Ended)>,
    news: Notify,
    stdin: tokio::sync::Mutex<Option<ChildStdin>>,
    pid: u32,
    terminal: bool,
}

/// The control plane.
#[derive(Default)]
pub struct Plane {
    pub processes: Mutex<HashMap<u32, Arc<Process>>>,
    /// Close the connection after so many bytes of output, once.
    pub drop_after: AtomicU64,
    /// Say that the control plane goes away before the connection is closed.
    pub say_so: bool,
    /// Count standard input, as servers do that keep to the window.
    pub counts: bool,
    /// Every first word that came.
    pub hellos: Mutex<Vec<ToServer>>,
    /// Every resize and signal that came.
    pub words: Mutex<Vec<ToServer>>,
}

/// A home folder with a control plane.
pub struct Home {
    dir: tempfile::TempDir,
    pub plane: Arc<Plane>,
    runtime: tokio::runtime::Runtime,
}

impl Home {
    pub fn new(plane: Plane) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let home = Self { dir, plane: Arc::new(plane), runtime };
        let listener = {
            let _guard = home.runtime.enter();
            tokio::net::UnixListener::bind(home.path().join("atelier.sock")).unwrap()
        };
        let app = Router::new().route("/api/v1/run", get(upgrade)).with_state(home.plane.clone());
        home.runtime.spawn(async move { axum::serve(listener, app).await });
        home
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// `atelier` with these arguments, in an empty project.
    pub fn atelier(&self, arguments: &[&str]) -> std::process::Command {
        atelier(self.path(), arguments)
    }
}

/// `atelier` with these arguments, a home and an environment without surprises.
pub fn atelier(home: &Path, arguments: &[&str]) -> std::process::Command {
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_atelier-cli-under-test"));
    command.args(arguments).env_clear().env("ATELIER_HOME", home).current_dir(home);
    command.env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

async fn upgrade(
    State(plane): State<Arc<Plane>>,
    socket: WebSocketUpgrade,
) -> axum::response::Response {
    socket.on_upgrade(move |socket| async move {
        converse(plane, socket).await;
    })
}

async fn converse(plane: Arc<Plane>, mut socket: WebSocket) -> Option<()> {
    let Message::Text(text) = socket.recv().await?.ok()? else { return None };
    let hello: ToServer = serde_json::from_str(&text).ok()?;
    plane.hellos.lock().unwrap().push(hello.clone());
    let (process, offset) = match hello {
        ToServer::Start(start) => match begin(&plane, &start) {
            Ok(process) => (process, 0),
            Err(problem) => {
                say(&mut socket, &ToClient::Problem { problem }).await;
                return None;
            }
        },
        ToServer::Attach(attach) => {
            let process = plane.processes.lock().unwrap().get(&attach.pid?).cloned()?;
            (process, attach.offset.unwrap_or_default())
        }
        _ => return None,
    };
    if plane.counts {
        say(&mut socket, &ToClient::StdinTaken { bytes: 0 }).await;
    }
    say(&mut socket, &started(&process)).await;
    follow(&plane, &process, offset, &mut socket).await
}

async fn follow(
    plane: &Plane,
    process: &Arc<Process>,
    offset: u64,
    socket: &mut WebSocket,
) -> Option<()> {
    let mut position = offset;
    let mut taken = 0;
    let (typed, queue) = mpsc::unbounded_channel();
    let (sender, mut written) = mpsc::unbounded_channel();
    let writer = tokio::spawn(write_input(Arc::clone(process), queue, sender));
    let _writer = AbortOnDrop(writer);
    loop {
        let news = process.news.notified();
        let (pending, ended) = rest(process, position);
        for (stream, bytes) in pending {
            position += bytes.len() as u64;
            let chunk = Chunk { stream, next: position, bytes: &bytes }.encode();
            socket.send(Message::Binary(Bytes::from(chunk))).await.ok()?;
            let limit = plane.drop_after.load(Ordering::SeqCst);
            if limit > 0 && position >= limit {
                plane.drop_after.store(0, Ordering::SeqCst);
                if plane.say_so {
                    say(socket, &ToClient::GoingAway {}).await;
                }
                return None;
            }
        }
        if let Some(code) = ended {
            let exit = ToClient::Exit { code, signal: None, reason: None };
            say(socket, &exit).await;
            return Some(());
        }
        tokio::select! {
            () = news => {}
            Some(length) = written.recv() => {
                taken += length;
                if plane.counts {
                    say(socket, &ToClient::StdinTaken { bytes: taken }).await;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Binary(bytes))) => typed.send(Some(bytes)).unwrap(),
                Some(Ok(Message::Text(text))) => heard(plane, process, &text, &typed),
                Some(Ok(_)) => {}
                // The terminal is gone.
                Some(Err(_)) | None => {
                    signal(process, 1);
                    return None;
                }
            }
        }
    }
}

/// Writes what was typed, apart from the connection: a command that reads nothing must not keep
/// anybody from hearing its client.
async fn write_input(
    process: Arc<Process>,
    mut queue: mpsc::UnboundedReceiver<Option<Bytes>>,
    written: mpsc::UnboundedSender<u64>,
) {
    while let Some(typed) = queue.recv().await {
        let mut stdin = process.stdin.lock().await;
        match (typed, stdin.as_mut()) {
            (Some(bytes), Some(pipe)) => {
                let _ = pipe.write_all(&bytes).await;
                let _ = written.send(bytes.len() as u64);
            }
            _ => *stdin = None,
        }
    }
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn heard(
    plane: &Plane,
    process: &Process,
    text: &str,
    typed: &mpsc::UnboundedSender<Option<Bytes>>,
) {
    let word: ToServer = serde_json::from_str(text).unwrap();
    match &word {
        ToServer::CloseStdin {} => typed.send(None).unwrap(),
        ToServer::Signal { signal: number } => signal(process, *number),
        _ => {}
    }
    plane.words.lock().unwrap().push(word);
}

fn signal(process: &Process, number: i32) {
    let pid = rustix::process::Pid::from_raw(process.pid.cast_signed()).unwrap();
    let number = rustix::process::Signal::from_named_raw(number).unwrap();
    let _ = rustix::process::kill_process_group(pid, number);
}

/// The output after an offset, and the end.
fn rest(process: &Process, mut offset: u64) -> (Vec<(Stream, Vec<u8>)>, Ended) {
    let log = process.log.lock().unwrap();
    let mut pending = Vec::new();
    for (stream, bytes) in &log.0 {
        let length = bytes.len() as u64;
        if offset < length {
            pending.push((*stream, bytes[usize::try_from(offset).unwrap()..].to_vec()));
        }
        offset = offset.saturating_sub(length);
    }
    (pending, log.1)
}

fn begin(plane: &Plane, start: &RunStart) -> Result<Arc<Process>, Problem> {
    if start.env.as_str() == "taken" && start.new {
        return Err(Problem::new("env.exists", ExitCode::Conflict, "taken is there already")
            .hint("take another name"));
    }
    let words: Vec<PathBuf> = start.command.iter().map(|w| w.as_path().to_owned()).collect();
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).env_clear().envs(&start.inherited).envs(&start.variables);
    command.stdin(if start.stdin { Stdio::piped() } else { Stdio::null() });
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0).kill_on_drop(true);
    let mut child = command
        .spawn()
        .map_err(|e| Problem::new("command.not_found", ExitCode::NotFound, e.to_string()))?;
    let pid = child.id().unwrap_or_default();
    let stdin = tokio::sync::Mutex::new(child.stdin.take());
    let terminal = start.terminal.is_some();
    let process = Arc::new(Process { pid, stdin, terminal, ..Process::default() });
    plane.processes.lock().unwrap().insert(pid, process.clone());
    tokio::spawn(collect(child, process.clone()));
    Ok(process)
}

async fn collect(mut child: Child, process: Arc<Process>) {
    let out = copy(child.stdout.take().unwrap(), Stream::Stdout, &process);
    let err = copy(child.stderr.take().unwrap(), Stream::Stderr, &process);
    tokio::join!(out, err);
    let status = child.wait().await.unwrap();
    let code = status.code().or(status.signal().map(|s| 128 + s)).unwrap();
    process.log.lock().unwrap().1 = Some(code);
    process.news.notify_waiters();
    process.news.notify_one();
}

async fn copy(mut from: impl AsyncReadExt + Unpin, stream: Stream, process: &Process) {
    let mut buffer = vec![0; 32 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer).await {
        process.log.lock().unwrap().0.push((stream, buffer[..n].to_vec()));
        process.news.notify_one();
    }
}

fn started(process: &Process) -> ToClient {
    let environment = Environment {
        id: uuid::Uuid::nil(),
        name: "a".parse().unwrap(),
        project: "p".into(),
        root: "/p".into(),
        state: EnvState::Running,
        runtime: "host".into(),
        created_at: jiff::Timestamp::UNIX_EPOCH,
        from: None,
        processes: 1,
        url: None,
    };
    let environment = Box::new(environment);
    ToClient::Started {
        environment,
        created: false,
        pid: process.pid,
        terminal: process.terminal,
        notes: vec![],
    }
}

async fn say(socket: &mut WebSocket, word: &ToClient) {
    let _ = socket.send(Message::Text(serde_json::to_string(word).unwrap().into())).await;
}
