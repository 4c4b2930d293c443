//! Programs that are run for us (git, npm, pip, docker): with an end in time, a size that they may not pass, and
//! no way to outlive us. The one file of this crate's install side that starts processes; it knows no program.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
pub(crate) use std::process::Command;
use std::process::{Child, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

/// Set by whoever hears Ctrl-C: what is under way ends, and is taken back.
#[derive(Debug, Clone, Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Asks for the end.
    pub fn cancel(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
    /// Whether the end was asked for.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A program to be run.
#[derive(Debug)]
pub(crate) struct Run {
    pub command: Command,
    pub input: Option<Vec<u8>>,
    /// How long it may take.
    pub limit: Duration,
    /// A folder that may not grow beyond so many bytes.
    pub folder: Option<(PathBuf, u64)>,
    pub cancel: Cancel,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Its exit code; nothing when a signal ended it.
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ended {
    pub fn ok(&self) -> bool {
        self.code == Some(0)
    }
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }
    /// The last lines of what it complained about.
    pub fn said(&self) -> String {
        let all = match self.stderr.trim().is_empty() {
            true => self.text(),
            false => self.stderr.clone(),
        };
        let lines: Vec<_> = all.lines().map(str::trim).filter(|l| !l.is_empty()).collect();
        let last = lines[lines.len().saturating_sub(4)..].join("; ");
        match last.is_empty() {
            true => format!("it ended with {:?} and said nothing", self.code),
            false => last.chars().take(600).collect(),
        }
    }
}

/// Why nothing came of it.
#[derive(Debug)]
pub(crate) enum Stopped {
    Start(io::Error),
    Time(Duration),
    Size(u64),
    Cancelled,
}

/// More output than any program that we call has to say; 400 MiB of file contents fit.
const MOST_OUTPUT: u64 = 512 << 20;

impl Run {
    pub fn new(command: Command, limit: Duration, cancel: &Cancel) -> Self {
        Self { command, input: None, limit, folder: None, cancel: cancel.clone() }
    }

    pub fn run(mut self) -> Result<Ended, Stopped> {
        let stdin = if self.input.is_some() { Stdio::piped() } else { Stdio::null() };
        self.command.stdin(stdin).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
        die_with_us(&mut self.command);
        let mut child = self.command.spawn().map_err(Stopped::Start)?;
        let writer = self
            .input
            .take()
            .zip(child.stdin.take())
            .map(|(input, mut pipe)| std::thread::spawn(move || drop(pipe.write_all(&input))));
        let out = child.stdout.take().map(collect);
        let err = child.stderr.take().map(collect);
        let ended = self.wait(&mut child);
        // Whatever it left behind would keep the pipes open.
        end_group(&child);
        let code = match ended {
            Ok(code) => code,
            Err(stopped) => {
                let _ = child.wait();
                return Err(stopped);
            }
        };
        let taken = |reader: Option<JoinHandle<Vec<u8>>>| {
            reader.and_then(|r| r.join().ok()).unwrap_or_default()
        };
        let (stdout, stderr) = (taken(out), taken(err));
        drop(writer);
        Ok(Ended { code, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() })
    }

    fn wait(&self, child: &mut Child) -> Result<Option<i32>, Stopped> {
        let (start, mut pause, mut measured) = (Instant::now(), 1, Instant::now());
        loop {
            match child.try_wait() {
                Ok(Some(status)) => return Ok(status.code()),
                Ok(None) => {}
                Err(error) => return Err(Stopped::Start(error)),
            }
            if self.cancel.is_cancelled() {
                return Err(Stopped::Cancelled);
            }
            if start.elapsed() > self.limit {
                return Err(Stopped::Time(self.limit));
            }
            if let Some((folder, most)) = &self.folder
                && measured.elapsed() > Duration::from_millis(200)
            {
                if size_of(folder) > *most {
                    return Err(Stopped::Size(*most));
                }
                measured = Instant::now();
            }
            std::thread::sleep(Duration::from_millis(pause));
            pause = (pause * 2).min(20);
        }
    }
}

fn end_group(child: &Child) {
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

fn die_with_us(command: &mut Command) {
    let set = || Ok(rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?);
    // SAFETY: between fork and exec only one system call (prctl) is made; nothing is allocated.
    unsafe { command.pre_exec(set) };
}

fn collect(pipe: impl Read + Send + 'static) -> JoinHandle<Vec<u8>> {
    std::thread::spawn(move || {
        let mut all = Vec::new();
        let _ = pipe.take(MOST_OUTPUT).read_to_end(&mut all);
        all
    })
}

/// The bytes below a folder.
pub(crate) fn size_of(folder: &Path) -> u64 {
    let Ok(entries) = std::fs::read_dir(folder) else { return 0 };
    let size = |entry: std::fs::DirEntry| match entry.metadata() {
        Ok(data) if data.is_dir() => size_of(&entry.path()),
        Ok(data) => data.len(),
        Err(_) => 0,
    };
    entries.flatten().map(size).sum()
}

/// The program on `PATH`, without the folder `but`.
pub(crate) fn find(program: &str, but: Option<&Path>) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    let usable = |file: &PathBuf| {
        rustix::fs::access(file, rustix::fs::Access::EXEC_OK).is_ok() && file.is_file()
    };
    std::env::split_paths(&path)
        .filter(|folder| but.is_none_or(|but| folder != but))
        .map(|folder| folder.join(program))
        .find(usable)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        Run::new(command, Duration::from_secs(30), &Cancel::default())
    }

    #[test]
    fn what_a_program_says_and_how_it_ends_come_back() {
        let mut run = sh("cat; echo no >&2; exit 3");
        run.input = Some(b"in".to_vec());
        let ended = run.run().unwrap();
        assert_eq!((ended.code, ended.text().as_str()), (Some(3), "in"));
        assert_eq!(ended.said(), "no");
    }

    #[test]
    fn a_program_that_hangs_ends_with_all_that_it_started() {
        let mut run = sh("sleep 1000 & wait");
        run.limit = Duration::from_millis(50);
        assert!(matches!(run.run(), Err(Stopped::Time(_))));
        let run = sh("sleep 1000");
        run.cancel.cancel();
        assert!(matches!(run.run(), Err(Stopped::Cancelled)));
    }

    #[test]
    fn a_program_that_writes_too_much_is_ended() {
        let folder = tempfile::tempdir().unwrap();
        let mut run = sh("while true; do head -c 100000 /dev/zero; done > \"$0\"/x");
        run.command.arg(folder.path());
        run.folder = Some((folder.path().to_owned(), 1_000_000));
        assert!(matches!(run.run(), Err(Stopped::Size(1_000_000))));
    }
}
