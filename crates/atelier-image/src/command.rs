//! The one place of this crate that starts processes: builders, credential helpers, makers of
//! filesystems. Each is ended with everything it started when nobody waits for it any more.

use std::ffi::OsStr;
use std::io;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// The longest line of a builder's output; longer ones are cut.
const LINE: u64 = 64 * 1024;
/// How much of a helper's output is read.
const OUTPUT: u64 = 4 << 20;

/// What a process said.
pub(crate) struct Output {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Output {
    /// What it said about its failure, in one line.
    pub(crate) fn why(&self) -> String {
        let text = self.stderr.trim();
        let last = text.lines().map(str::trim).rfind(|line| !line.is_empty());
        last.map_or_else(|| self.status.to_string(), |line| line.chars().take(500).collect())
    }
}

/// A process group that ends when this is dropped.
struct Group(Option<rustix::process::Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(rustix::process::Pid::from_raw))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(pid) = self.0.take() {
            let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
        }
    }
}

/// A command without input, in a process group of its own.
pub(crate) fn command(program: &str, args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(program);
    command.args(args).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}

/// Runs a program to its end, `input` on its standard input.
pub(crate) async fn output(
    mut command: Command,
    input: &[u8],
    limit: Duration,
) -> io::Result<Output> {
    let mut child =
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut group = Group::of(&child);
    let work = async {
        let (stdin, stdout, stderr) =
            (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let write = async {
            if let Some(mut stdin) = stdin {
                // It need not read it.
                let _ = stdin.write_all(input).await;
            }
        };
        let ((), stdout, stderr) = tokio::join!(write, read(stdout), read(stderr));
        let status = child.wait().await?;
        let stderr = String::from_utf8_lossy(&stderr?).into_owned();
        io::Result::Ok(Output { status, stdout: stdout?, stderr })
    };
    let output = tokio::time::timeout(limit, work).await;
    let output = output.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
    group.0 = None;
    Ok(output)
}

async fn read(stream: Option<impl AsyncRead + Unpin>) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        (&mut stream).take(OUTPUT).read_to_end(&mut bytes).await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
    }
    Ok(bytes)
}

/// Runs a program to its end and hands on what it prints, line by line, from both streams.
pub(crate) async fn stream(
    mut command: Command,
    line: &(dyn Fn(&str) + Send + Sync),
) -> io::Result<ExitStatus> {
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let mut group = Group::of(&child);
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let (one, two) = tokio::join!(lines(stdout, line), lines(stderr, line));
    let status = child.wait().await?;
    group.0 = None;
    one.and(two).map(|()| status)
}

async fn lines(
    stream: Option<impl AsyncRead + Unpin>,
    line: &(dyn Fn(&str) + Send + Sync),
) -> io::Result<()> {
    let Some(stream) = stream else { return Ok(()) };
    let mut stream = BufReader::new(stream);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if (&mut stream).take(LINE).read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(());
        }
        line(String::from_utf8_lossy(&bytes).trim_end_matches(['\n', '\r']));
    }
}

/// Whether a program is in one of the places where programs are. Those for administrators are
/// looked at too, since an ordinary user's path often lacks them.
pub(crate) fn find(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/bin", "/bin"];
    std::env::split_paths(&path)
        .chain(more.iter().map(|dir| Path::new(dir).to_owned()))
        .map(|dir| dir.join(program))
        .find(|file| file.is_file())
}
