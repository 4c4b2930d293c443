//! A guest of its own for each test.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;

use atelier_guest::client::{Guest, ProcessStream};
use atelier_guest::wire::{EndEvent, ProcessConfig, ProcessEvent, StartRequest, Stream};
use tempfile::TempDir;

/// Longer than anything takes; a test that hangs ends with it.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A guest that runs as a process of its own, and ends with the test.
pub struct Running {
    pub guest: Guest,
    pub folder: TempDir,
    pub socket: PathBuf,
    child: Child,
}

impl Running {
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    pub fn start_with(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("guest.sock");
        Self::start_at(folder, socket, flags)
    }

    pub fn start_at(folder: TempDir, socket: PathBuf, flags: &[&str]) -> Self {
        let home = format!("HOME={}", folder.path().display());
        let child = Command::new(env!("CARGO_BIN_EXE_atelier-guest"))
            .args(["serve", "--listen", &format!("unix:{}", socket.display())])
            .args(["--env", &home, "--stop-grace", "1"])
            .args(flags)
            .env("GUEST_TEST_TOKEN", "secret")
            .spawn()
            .unwrap();
        let guest = Guest::new(&socket);
        let deadline = std::time::Instant::now() + PATIENCE;
        while std::os::unix::net::UnixStream::connect(&socket).is_err() {
            assert!(std::time::Instant::now() < deadline, "the guest does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        Self { guest, folder, socket, child }
    }

    pub fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks the guest to end, and waits until it did.
    pub fn stop(&mut self) -> std::process::ExitStatus {
        terminate(self.child.id());
        self.child.wait().unwrap()
    }

    pub fn raw(&self) -> std::os::unix::net::UnixStream {
        let stream = std::os::unix::net::UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request as it is, and reads all that comes back.
    pub fn exchange(&self, request: &[u8]) -> Vec<u8> {
        let mut stream = self.raw();
        stream.write_all(request).unwrap();
        let mut response = Vec::new();
        std::io::Read::read_to_end(&mut stream, &mut response).unwrap();
        response
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            terminate(self.child.id());
            let _ = self.child.wait();
        }
    }
}

fn terminate(pid: u32) {
    let _ = Command::new("kill").args(["-TERM", &pid.to_string()]).status();
}

/// A command of the shell.
pub fn shell(command: &str) -> StartRequest {
    StartRequest {
        process: ProcessConfig {
            cmd: "/bin/sh".into(),
            args: vec!["-c".into(), command.into()],
            ..Default::default()
        },
        stdin: Some(false),
        ..Default::default()
    }
}

/// What a process wrote, and how it ended.
#[derive(Debug, Default)]
pub struct Outcome {
    pub out: Vec<u8>,
    pub err: Vec<u8>,
    pub pty: Vec<u8>,
    pub gap: Option<(u64, u64)>,
    pub end: Option<EndEvent>,
}

impl Outcome {
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }

    pub fn code(&self) -> i32 {
        self.end.as_ref().unwrap().exit_code
    }

    pub fn add(&mut self, event: ProcessEvent) {
        match event {
            ProcessEvent::Data(data) => match data.stream {
                Stream::Stdout => self.out.extend_from_slice(&data.bytes),
                Stream::Stderr => self.err.extend_from_slice(&data.bytes),
                Stream::Pty => self.pty.extend_from_slice(&data.bytes),
            },
            ProcessEvent::End(end) => self.end = Some(end),
            ProcessEvent::Gap(gap) => self.gap = Some((gap.from.unwrap(), gap.to.unwrap())),
            ProcessEvent::Start(_) | ProcessEvent::Keepalive(_) => {}
        }
    }
}

/// Reads until the process ended.
pub async fn finish(stream: &mut ProcessStream) -> Outcome {
    let mut outcome = Outcome::default();
    read_while(stream, &mut outcome, |_| true).await;
    outcome
}

/// Reads on while `more` says so, or until the stream's end.
pub async fn read_while(
    stream: &mut ProcessStream,
    outcome: &mut Outcome,
    more: impl Fn(&Outcome) -> bool,
) {
    while more(outcome) {
        let next = tokio::time::timeout(PATIENCE, stream.next()).await;
        match next.unwrap_or_else(|_| panic!("nothing more came after {outcome:?}")) {
            Some(event) => outcome.add(event.unwrap()),
            None => return,
        }
    }
}

/// Runs a command of the shell to its end.
pub async fn run(guest: &Guest, command: &str) -> Outcome {
    finish(&mut guest.start(&shell(command)).await.unwrap()).await
}

/// Waits until something is so.
pub async fn until(what: impl Fn() -> bool) {
    let waiting = async {
        while !what() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.expect("it came to be in time");
}

/// Whether a process exists and is no zombie.
pub fn is_alive(pid: u32) -> bool {
    std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat"))
        .is_ok_and(|stat| !stat.rsplit_once(')').is_some_and(|(_, rest)| rest.starts_with(" Z")))
}
