//! The one place of this crate that spawns processes.

use std::ffi::OsString;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::VmError;
use crate::error::Result;

/// Where programs are that an ordinary user's `PATH` leaves out.
const MORE_PLACES: [&str; 4] = ["/usr/sbin", "/sbin", "/usr/local/sbin", "/usr/libexec"];

/// Finds a program that runs: the one that was configured, else by name.
#[must_use]
pub fn program(name: &str, configured: Option<&Path>) -> Option<PathBuf> {
    let runs = |path: &Path| {
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    if let Some(path) = configured {
        return runs(path).then(|| path.to_owned());
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(MORE_PLACES.map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|path| runs(path))
}

/// Runs a helper program to its end.
pub(crate) fn run(command: Command) -> Result<()> {
    output(command).map(drop)
}

/// What a helper program prints.
pub(crate) fn output(mut command: Command) -> Result<String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let failed = |why: String| VmError::Helper { program: program.clone(), why };
    let output =
        command.stdin(Stdio::null()).output().map_err(|error| failed(error.to_string()))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(failed(String::from_utf8_lossy(&output.stderr).trim().to_owned()))
}

/// A monitor that this process runs itself, for a trial or a template. It ends with the value.
#[derive(Debug)]
pub(crate) struct Monitor {
    child: Child,
    log: PathBuf,
}

impl Monitor {
    /// Starts it in `folder`, with what it says in the file `log` there.
    pub(crate) fn start(words: &[OsString], folder: &Path, log: &str) -> Result<Self> {
        let log = folder.join(log);
        let file = File::create(&log).map_err(VmError::io("making", &log))?;
        let (first, rest) = words.split_first().ok_or_else(|| VmError::Helper {
            program: String::new(),
            why: "an empty command".to_owned(),
        })?;
        let mut command = Command::new(first);
        command.args(rest).current_dir(folder).stdin(Stdio::null());
        command.stdout(file.try_clone().map_err(VmError::io("opening", &log))?).stderr(file);
        // SAFETY: prctl is safe to call between fork and exec, and takes numbers.
        unsafe {
            command.pre_exec(|| {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                Ok(())
            });
        }
        let child = command.spawn().map_err(|error| VmError::Helper {
            program: first.to_string_lossy().into_owned(),
            why: error.to_string(),
        })?;
        Ok(Self { child, log })
    }

    /// How it ended, if it has: in words, with the last that it said.
    pub(crate) fn ended(&mut self) -> Option<String> {
        let status = self.child.try_wait().ok().flatten()?;
        Some(format!("{status}: {}", last_words(&self.log)))
    }

    /// Waits for it to end by itself.
    pub(crate) fn wait(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The end of a log, as one line.
pub(crate) fn last_words(log: &Path) -> String {
    let mut text = Vec::new();
    let read = File::open(log).and_then(|file| file.take(1 << 20).read_to_end(&mut text));
    if read.is_err() {
        return String::new();
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> =
        text.lines().rev().map(str::trim).filter(|line| !line.is_empty()).take(3).collect();
    lines.reverse();
    lines.join("; ")
}
