//! Where the real servers are, and processes that end with their test.

use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use atelier_mcp::{ClientOptions, Limits, Target};

/// What `need_mcp` installed.
pub fn tools() -> PathBuf {
    let found = std::env::var("ATELIER_TEST_MCP").unwrap_or_else(|_| {
        panic!(
            "no MCP servers: run scripts/test, or install them and name them with \
             `. scripts/lib.sh && need_mcp` at the repository's root"
        )
    });
    PathBuf::from(found)
}

/// The Node.js that came with them.
pub fn node() -> String {
    let arch = if cfg!(target_arch = "aarch64") { "arm64" } else { "x64" };
    tools().join(format!("node_modules/node-linux-{arch}/bin/node")).display().to_string()
}

/// A script of theirs.
pub fn script(path: &str) -> String {
    let script = tools().join("node_modules").join(path);
    assert!(script.exists(), "{} is missing: install anew", script.display());
    script.display().to_string()
}

pub const EVERYTHING: &str = "@modelcontextprotocol/server-everything/dist/index.js";

/// server-everything on standard input and output.
pub fn everything() -> Target {
    Target::program(node(), [script(EVERYTHING), "stdio".to_owned()])
}

/// An example of this crate's, which cargo builds with its tests.
pub fn example(name: &str) -> String {
    let own = std::env::current_exe().unwrap();
    let folder = own.parent().and_then(Path::parent).unwrap();
    let path = folder.join("examples").join(name);
    assert!(path.exists(), "{} is missing: cargo build --examples -p atelier-mcp", path.display());
    path.display().to_string()
}

/// A process that ends with the test.
pub struct Running(pub Child);

impl Running {
    /// Starts it, and waits until a line of its output holds `ready`; that line.
    pub fn start(mut command: Command, ready: &str) -> (Self, String) {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // With its children, and not beyond the test.
        command.process_group(0);
        let mut own = Self(command.spawn().unwrap());
        let (send, lines) = std::sync::mpsc::channel();
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(own.0.stdout.take().unwrap()), Box::new(own.0.stderr.take().unwrap())];
        for stream in streams {
            let send = send.clone();
            std::thread::spawn(move || {
                for line in BufReader::new(stream).lines().map_while(Result::ok) {
                    let _ = send.send(line);
                }
            });
        }
        let until = Instant::now() + Duration::from_secs(60);
        let mut said = Vec::new();
        while let Ok(line) = lines.recv_timeout(until.saturating_duration_since(Instant::now())) {
            if line.contains(ready) {
                return (own, line);
            }
            said.push(line);
        }
        panic!("never ready: {said:?}");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = rustix::process::Pid::from_raw(self.0.id().cast_signed()) {
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
        let _ = self.0.wait();
    }
}

/// server-everything over HTTP, at a free port; `mode` is `streamableHttp` or `sse`.
pub fn everything_over(mode: &str) -> (Running, u16) {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut command = Command::new(node());
    command.args([script(EVERYTHING).as_str(), mode]).env("PORT", port.to_string());
    let (running, _) = Running::start(command, &port.to_string());
    (running, port)
}

/// Our server over HTTP: its URL.
pub fn served(arguments: &[&str]) -> (Running, String) {
    let mut command = Command::new(example("served"));
    command.arg("--http").args(arguments);
    Running::start(command, "http://")
}

/// Limits for servers that misbehave.
pub fn impatient() -> ClientOptions {
    let brief = Duration::from_secs(5);
    let close = Duration::from_millis(300);
    let limits = Limits { initialize: brief, list: brief, call: brief, close, ..Limits::default() };
    ClientOptions { limits, ..ClientOptions::default() }
}

/// Waits until a process is gone; a kill is heard a moment after it is said.
pub async fn gone(pid: i32) -> bool {
    for _ in 0..1000 {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        if !stat.is_ok_and(|stat| !stat.contains(") Z ")) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    false
}
