//! Programs of others, with a time limit and a limit of what they may say. The only place that
//! starts one.

use std::ffi::OsString;
use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal, kill_process_group, prlimit};

/// A project's canonical form is a megabyte when it is huge.
const MOST: u64 = 64 << 20;

/// Address space of a program. A few lines of YAML whose anchors refer to one another can ask a
/// loader for more memory than there is.
const MEMORY: u64 = 2 << 30;

/// What a program said.
pub(crate) struct Said {
    pub good: bool,
    pub out: Vec<u8>,
    pub err: String,
}

/// Why a program said nothing.
pub(crate) enum Silent {
    Io(io::Error),
    TimedOut,
}

/// Runs the program to its end in a process group of its own, which is ended with it.
pub(crate) fn run(
    argv: &[OsString],
    folder: &Path,
    variables: Option<&std::collections::BTreeMap<String, String>>,
    limit: Duration,
) -> Result<Said, Silent> {
    let Some((program, arguments)) = argv.split_first() else {
        return Err(Silent::Io(io::ErrorKind::InvalidInput.into()));
    };
    let mut command = Command::new(program);
    command.args(arguments).current_dir(folder).process_group(0);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(variables) = variables {
        command.env_clear().envs(variables);
    }
    let mut child = command.spawn().map_err(Silent::Io)?;
    confine(&child);
    let said = read_both(&mut child, Instant::now() + limit);
    if said.is_err() {
        end(&child);
    }
    let status = child.wait().map_err(Silent::Io)?;
    let (out, err) = said?;
    let err = String::from_utf8_lossy(&err).into_owned();
    Ok(Said { good: status.success(), out, err })
}

/// Both outputs to their ends, each read by a thread, since either may fill up first.
fn read_both(child: &mut Child, until: Instant) -> Result<(Vec<u8>, Vec<u8>), Silent> {
    let (tell, told) = mpsc::channel();
    let read = |stream: Option<Box<dyn Read + Send>>, first: bool| {
        let tell = tell.clone();
        std::thread::spawn(move || {
            let mut bytes = Vec::new();
            let read = stream.map(|s| s.take(MOST).read_to_end(&mut bytes)).transpose();
            // The other end is gone only when the limit has passed.
            let _ = tell.send((first, read.map(|_| bytes)));
        });
    };
    read(child.stdout.take().map(|s| Box::new(s) as _), true);
    read(child.stderr.take().map(|s| Box::new(s) as _), false);
    let mut said = (Vec::new(), Vec::new());
    for _ in 0..2 {
        let left = until.saturating_duration_since(Instant::now());
        let (first, bytes) = told.recv_timeout(left).map_err(|e| match e {
            RecvTimeoutError::Timeout => Silent::TimedOut,
            RecvTimeoutError::Disconnected => Silent::Io(io::ErrorKind::BrokenPipe.into()),
        })?;
        *(if first { &mut said.0 } else { &mut said.1 }) = bytes.map_err(Silent::Io)?;
    }
    Ok(said)
}

/// Right behind the start is early enough: memory fills up later.
fn confine(child: &Child) {
    let limit = Rlimit { current: Some(MEMORY), maximum: Some(MEMORY) };
    // It may have ended already.
    let _ = prlimit(pid(child), Resource::As, limit);
}

fn pid(child: &Child) -> Option<Pid> {
    i32::try_from(child.id()).ok().and_then(Pid::from_raw)
}

fn end(child: &Child) {
    if let Some(group) = pid(child) {
        // It may have ended by itself meanwhile.
        let _ = kill_process_group(group, Signal::KILL);
    }
}
