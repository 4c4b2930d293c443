//! The one place that starts a process: the control plane in the background, and programs that this
//! one becomes.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use atelier_api::{ExitCode, Fault, Problem};
use atelier_config::{Home, env_vars};

/// A log that is longer than this is put aside before the next start, in bytes.
const LOG_LIMIT: u64 = 8 << 20;

/// Starts this same program as the control plane of a home, apart from this terminal.
pub(crate) fn control_plane(home: &Home, arguments: &[String]) -> Result<Child, Problem> {
    home.prepare().map_err(|e| e.problem())?;
    let failed = |what: &str, error: &io::Error| {
        let detail = format!("the control plane could not be started: {what}: {error}");
        Problem::new("control_plane.start", ExitCode::Configuration, detail)
            .hint("`atelier doctor` looks for the cause")
    };
    let log = log_file(home).map_err(|e| failed(&home.log_file().display().to_string(), &e))?;
    let errors = log.try_clone().map_err(|e| failed("its log", &e))?;
    let mut command = Command::new(program());
    command
        .args(["serve", "--detached"])
        .args(arguments)
        // Not the caller's folder, which might be on a disk that is to be unmounted.
        .current_dir(home.root())
        .env(env_vars::HOME, home.root())
        .stdin(Stdio::null())
        .stdout(log)
        .stderr(errors);
    for name in env_vars::PER_CALL {
        command.env_remove(name);
    }
    command.spawn().map_err(|e| failed("its process", &e))
}

/// Becomes another program. It comes back only when that is not possible.
pub(crate) fn become_program(program: &str, arguments: &[OsString]) -> Problem {
    let error = Command::new(program).args(arguments).exec();
    let exit = match error.kind() {
        io::ErrorKind::NotFound => ExitCode::Configuration,
        _ => ExitCode::Failed,
    };
    Problem::new("program.missing", exit, format!("{program} cannot be run: {error}"))
        .hint(format!("install {program}; Debian, Ubuntu: apt install openssh-client"))
}

/// This program; the kernel's own link to it when the file was replaced meanwhile.
pub(crate) fn program() -> PathBuf {
    let found = env::current_exe().ok().filter(|path| path.exists());
    found.unwrap_or_else(|| PathBuf::from("/proc/self/exe"))
}

fn log_file(home: &Home) -> io::Result<File> {
    let path = home.log_file();
    if path.metadata().is_ok_and(|m| m.len() > LOG_LIMIT) {
        fs::rename(&path, path.with_extension("log.1"))?;
    }
    OpenOptions::new().create(true).append(true).mode(0o600).open(path)
}
