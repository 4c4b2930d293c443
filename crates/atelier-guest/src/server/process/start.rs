//! From a request to a process that runs and is read from.

use std::ffi::{OsStr, OsString};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::super::paths::resolve;
use super::super::state::Server;
use super::super::users::User;
use super::super::watched::watched;
use super::spawn::{Plan, Spawned, spawn};
use super::spool::{Follower, From, Spool};
use super::{Output, Process, run, signal};
use crate::wire::{Blob, Code, ConnectError, ProcessConfig, PtySize, StartRequest, Stream};

/// The size of a terminal whose request names none.
const DEFAULT_SIZE: PtySize = PtySize { cols: 80, rows: 24 };

/// Starts a process and follows it from its first byte.
pub(super) fn start(
    server: &Rc<Server>,
    request: StartRequest,
    user: &User,
    limit: Option<Duration>,
) -> Result<(Rc<Process>, Follower), ConnectError> {
    let plan = plan(server, &request, user)?;
    let spawned = spawn(&plan).map_err(|error| refusal(&plan, user, &error))?;
    let pid = spawned.pid;
    let (process, outputs) = adopt(server, request, spawned).map_err(|error| {
        signal::kill_untracked(pid);
        ConnectError::internal(format!("the process's pipes cannot be watched: {error}"))
    })?;
    let (follower, _) = process.spool.follow(From::Now).map_err(|error| {
        ConnectError::internal(format!("the process's output cannot be kept: {error}"))
    })?;
    server.processes.add(Rc::clone(&process));
    for (index, (stream, output)) in outputs.iter().enumerate() {
        let pump = run::pump(Rc::clone(&process), index, *stream, Rc::clone(output));
        tokio::task::spawn_local(pump);
    }
    let outputs = outputs.into_iter().map(|(_, output)| output).collect();
    let supervise = run::supervise(Rc::clone(server), Rc::clone(&process), outputs, limit);
    tokio::task::spawn_local(supervise);
    Ok((process, follower))
}

fn plan(server: &Server, request: &StartRequest, user: &User) -> Result<Plan, ConnectError> {
    let config = &request.process;
    if config.cmd.is_empty() {
        return Err(ConnectError::invalid("no command is named"));
    }
    let (program, arguments) = words(config);
    let folder = match &config.raw {
        Some(raw) => bytes(&raw.cwd).into(),
        None => folder(server, config.cwd.as_deref().unwrap_or(""), user)?,
    };
    let mut environment = server.environment_for(user, &config.envs);
    if request.pty.is_some() {
        environment.entry("TERM".to_owned()).or_insert_with(|| "xterm-256color".to_owned());
    }
    let has_zero = |text: &String| text.as_bytes().contains(&0);
    if environment
        .iter()
        .any(|(key, value)| key.is_empty() || key.contains('=') || has_zero(key) || has_zero(value))
    {
        return Err(ConnectError::invalid(
            "a variable's name is empty or holds '=' or a zero byte",
        ));
    }
    Ok(Plan {
        program,
        arguments,
        environment: environment.into_iter().collect(),
        folder,
        credentials: user.credentials(),
        terminal: request.pty.map(|pty| size_of_terminal(pty.size)),
        stdin: request.stdin.unwrap_or(true),
    })
}

/// The program and its arguments.
fn words(config: &ProcessConfig) -> (OsString, Vec<OsString>) {
    match &config.raw {
        Some(raw) => (bytes(&raw.cmd), raw.args.iter().map(bytes).collect()),
        None => (config.cmd.clone().into(), config.args.iter().map(OsString::from).collect()),
    }
}

fn bytes(blob: &Blob) -> OsString {
    OsStr::from_bytes(&blob.0).to_owned()
}

fn size_of_terminal(asked: PtySize) -> PtySize {
    if asked == PtySize::default() { DEFAULT_SIZE } else { asked }
}

fn folder(server: &Server, cwd: &str, user: &User) -> Result<PathBuf, ConnectError> {
    let workdir = server.workdir();
    let folder = resolve(cwd, user, workdir.as_deref()).map_err(ConnectError::invalid)?;
    match std::fs::metadata(&folder) {
        Ok(found) if found.is_dir() => Ok(folder),
        Ok(_) => {
            Err(ConnectError::invalid(format!("cwd '{}' is not a directory", folder.display())))
        }
        // Nobody asked for this folder: a user without a home starts at the root.
        Err(_) if cwd.is_empty() && workdir.is_none() => Ok(PathBuf::from("/")),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(ConnectError::invalid(format!("cwd '{}' does not exist", folder.display())))
        }
        Err(error) => {
            let folder = folder.display();
            Err(ConnectError::invalid(format!("cwd '{folder}' cannot be used: {error}")))
        }
    }
}

/// Why a command did not start, with the code that a shell would have ended with.
fn refusal(plan: &Plan, user: &User, error: &io::Error) -> ConnectError {
    let command = plan.program.to_string_lossy();
    if error.kind() == io::ErrorKind::InvalidInput {
        return ConnectError::invalid("the command or an argument holds a zero byte");
    }
    let (code, message, exit_code) = match error.raw_os_error() {
        Some(libc::ENOENT) if command.contains('/') && plan.folder.join(&plan.program).exists() => {
            let message = format!("command cannot be executed: {command}: no such interpreter");
            (Code::FailedPrecondition, message, Some(126))
        }
        Some(libc::ENOENT) => (Code::NotFound, format!("command not found: {command}"), Some(127)),
        Some(libc::EPERM) => {
            let name = &user.name;
            let message = format!("not permitted to run '{command}' as user '{name}': {error}");
            (Code::PermissionDenied, message, Some(126))
        }
        Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => {
            (Code::ResourceExhausted, format!("'{command}' cannot be started now: {error}"), None)
        }
        _ => {
            let message = format!("command cannot be executed: {command}: {error}");
            (Code::FailedPrecondition, message, Some(126))
        }
    };
    ConnectError { exit_code, ..ConnectError::new(code, message) }
}

type Outputs = Vec<(Stream, Rc<AsyncFd<OwnedFd>>)>;

fn adopt(
    server: &Server,
    request: StartRequest,
    spawned: Spawned,
) -> io::Result<(Rc<Process>, Outputs)> {
    let mut outputs = Vec::with_capacity(spawned.outputs.len());
    for (stream, fd) in spawned.outputs {
        outputs.push((stream, Rc::new(watched(fd, Interest::READABLE)?)));
    }
    let writable = |fd: OwnedFd| watched(fd, Interest::WRITABLE).map(Rc::new);
    let process = Process {
        pid: spawned.pid,
        config: request.process,
        tag: request.tag,
        spool: Spool::new(server.processes.spool_file()),
        terminal: std::cell::RefCell::new(spawned.terminal.map(writable).transpose()?),
        stdin: std::cell::RefCell::new(spawned.stdin.map(writable).transpose()?),
        writing: tokio::sync::Mutex::default(),
        exit: std::cell::Cell::default(),
        end: std::cell::RefCell::default(),
        changed: tokio::sync::Notify::new(),
        outputs: std::cell::RefCell::new(vec![Output::default(); outputs.len()]),
        started: std::time::SystemTime::now(),
        ended: std::cell::Cell::default(),
    };
    Ok((Rc::new(process), outputs))
}
