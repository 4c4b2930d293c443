//! The one place that starts processes for tools: a command of a plugin with its output in a file, a keeper
//! that stays, a command whose output is data.

use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::environment::Environment;
use crate::secrets::Masker;

/// Between two looks at a command that runs: first so long, then twice as long each time up to the second.
const PAUSE: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(20));
/// As much of the end of an output as an error tells.
const TOLD: usize = 4096;
/// As many lines of it.
const LINES: usize = 20;

/// How a command ended.
pub(crate) struct Ran {
    /// Its code; 128 and the signal when a signal ended it.
    pub code: i32,
    /// Its last lines, masked.
    pub said: String,
}

/// A command line with what it runs in.
pub(crate) struct Line<'a> {
    pub line: &'a str,
    pub folder: &'a Path,
    pub environment: &'a Environment,
    /// Where its output goes. What it leaves running in the background keeps a place to write to.
    pub log: &'a Path,
    pub masker: &'a Masker,
    /// For an answer to a question, not for work.
    pub timeout: Option<Duration>,
}

impl Line<'_> {
    fn command(&self) -> Command {
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(self.line).current_dir(self.folder);
        command.env_clear().envs(self.environment);
        command
    }

    /// Runs it to its end; each line that it says is told, masked. The file of its output is left
    /// masked as well.
    pub(crate) fn run(&self, told: &mut dyn FnMut(&str)) -> io::Result<Ran> {
        let log = File::options()
            .create(true)
            .write(true)
            .truncate(true)
            .mode(0o600)
            .open(self.log)
            .and_then(|_| File::options().append(true).open(self.log))?;
        let mut command = self.command();
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn()?;
        drop(command);
        let mut seen = Seen::new(self.log, self.masker)?;
        let (begun, mut pause) = (Instant::now(), PAUSE.0);
        let status = loop {
            let status = child.try_wait()?;
            seen.more(told)?;
            match status {
                Some(status) => break status,
                None if self.timeout.is_some_and(|most| begun.elapsed() > most) => {
                    child.kill()?;
                    child.wait()?;
                    return Ok(Ran { code: 124, said: "it gave no answer in time".to_owned() });
                }
                None => std::thread::sleep(pause),
            }
            pause = PAUSE.1.min(pause * 2);
        };
        seen.rest(told)?;
        mask_file(self.log, self.masker)?;
        Ok(Ran { code: code(status), said: last_lines(self.log, self.masker, LINES) })
    }

    /// The last lines of what it said besides its output, masked.
    pub(crate) fn said(&self) -> String {
        last_lines(self.log, self.masker, LINES)
    }

    /// Starts it with a pipe as its output or input; the other end of its output is the log.
    pub(crate) fn piped(&self, stdin: Stdio, stdout: Stdio) -> io::Result<Child> {
        let mut options = File::options();
        let errors = options.create(true).write(true).truncate(true).mode(0o600).open(self.log)?;
        let mut command = self.command();
        command.stdin(stdin).stdout(stdout).stderr(errors);
        command.spawn()
    }
}

/// The code of a status, as a shell tells it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default())
}

/// Starts our own program so that it stays: nothing of the caller's terminal, its output to `output`.
pub(crate) fn keeper(
    program: &[std::ffi::OsString],
    argument: &str,
    environment: &Environment,
    folder: &Path,
) -> io::Result<Child> {
    let (first, rest) =
        program.split_first().ok_or_else(|| io::Error::other("no program is named as keeper"))?;
    Command::new(first)
        .args(rest)
        .arg(argument)
        .current_dir(folder)
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
}

/// Starts what a keeper keeps, in a process group of its own, with its output in pipes.
pub(crate) fn kept(
    words: &[String],
    folder: &Path,
    environment: &Environment,
) -> io::Result<Child> {
    use std::os::unix::process::CommandExt;
    let (first, rest) =
        words.split_first().ok_or_else(|| io::Error::other("the plugin names no program"))?;
    let (reader, writer) = io::pipe()?;
    let errors = writer.try_clone()?;
    let mut command = Command::new(first);
    command.args(rest).current_dir(folder).env_clear().envs(environment);
    command.stdin(Stdio::null()).stdout(writer).stderr(errors).process_group(0);
    // SAFETY: between fork and exec only `sigprocmask` is called, which signal-safety(7) allows; it
    // allocates nothing. The keeper's blocked signals would be the child's otherwise.
    unsafe {
        command.pre_exec(|| Ok(nix::sys::signal::SigSet::empty().thread_set_mask()?));
    }
    let mut child = command.spawn()?;
    drop(command);
    // One pipe for both, so that lines stay in the order in which they were written.
    child.stdout = Some(std::process::ChildStdout::from(std::os::fd::OwnedFd::from(reader)));
    Ok(child)
}

/// A program that is asked a question; its output, or nothing when it fails.
pub(crate) fn ask(program: &str, arguments: &[&str], environment: &Environment) -> Option<String> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::null());
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

/// A program that is given a text; whether it took it.
pub(crate) fn give(
    program: &str,
    arguments: &[&str],
    environment: &Environment,
    input: &str,
) -> io::Result<bool> {
    let mut command = Command::new(program);
    command.args(arguments).env_clear().envs(environment).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(input.as_bytes())?;
    }
    Ok(child.wait()?.success())
}

/// The lines of a file as they come.
struct Seen<'a> {
    file: File,
    masker: &'a Masker,
    held: Vec<u8>,
}

impl<'a> Seen<'a> {
    fn new(path: &Path, masker: &'a Masker) -> io::Result<Self> {
        Ok(Self { file: File::open(path)?, masker, held: Vec::new() })
    }

    fn more(&mut self, told: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.file.read_to_end(&mut self.held)?;
        while let Some(end) = self.held.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.held.drain(..=end).collect();
            told(String::from_utf8_lossy(&self.masker.bytes(&line)).trim_end());
        }
        Ok(())
    }

    fn rest(&mut self, told: &mut dyn FnMut(&str)) -> io::Result<()> {
        self.more(told)?;
        if !self.held.is_empty() {
            told(String::from_utf8_lossy(&self.masker.bytes(&self.held)).trim_end());
        }
        Ok(())
    }
}

/// Takes secrets out of a file in place: what a command left behind goes on writing to the same file.
fn mask_file(path: &Path, masker: &Masker) -> io::Result<()> {
    let text = fs::read(path)?;
    let masked = masker.bytes(&text);
    if masked == text {
        return Ok(());
    }
    let mut file = File::options().write(true).open(path)?;
    file.set_len(0)?;
    file.write_all(&masked)
}

/// The last lines of a file, masked, at most 4 KiB.
pub(crate) fn last_lines(path: &Path, masker: &Masker, lines: usize) -> String {
    let read = || -> io::Result<Vec<u8>> {
        let mut file = File::open(path)?;
        let length = file.seek(SeekFrom::End(0))?;
        // More than is told, so that a secret at the edge is seen whole.
        file.seek(SeekFrom::Start(length.saturating_sub(256 * 1024)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let masked = masker.bytes(&read().unwrap_or_default());
    let text = String::from_utf8_lossy(&masked[masked.len().saturating_sub(TOLD)..]).into_owned();
    let all: Vec<&str> = text.lines().map(str::trim_end).collect();
    all[all.len().saturating_sub(lines)..].join("\n")
}
