//! The one who changes the home. Readers never wait; a second writer waits a moment and is told who is at work.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};

use super::{Lock, Manifest, files, journal};
use crate::context::Context;
use crate::git::Git;
use crate::{Home, Result, ToolsError};

/// The right to change the home, and what it says now.
#[derive(Debug)]
pub(crate) struct Writer {
    pub home: Home,
    pub git: Git,
    pub manifest: Manifest,
    pub lock: Lock,
    _held: Held,
}

/// The lock itself; given up when dropped, and by the kernel when we die.
#[derive(Debug)]
pub(crate) struct Held(#[allow(dead_code, reason = "held, not read")] File);

impl Writer {
    /// Takes the lock, takes back or finishes what a killed one left, and reads the home.
    pub fn take(home: &Home, doing: &str, context: &Context<'_>) -> Result<Self> {
        if !home.manifest_file().exists() {
            return Err(ToolsError::NoHome(home.root().to_owned()));
        }
        let held = hold(home, doing, context)?;
        let git = Git::of(home, context);
        journal::recover(home, &git, context)?;
        let (manifest, lock) = (Manifest::read(home)?, Lock::read(home)?);
        Ok(Self { home: home.clone(), git, manifest, lock, _held: held })
    }
}

/// Waits for the lock as long as the context allows.
pub(crate) fn hold(home: &Home, doing: &str, context: &Context<'_>) -> Result<Held> {
    let path = home.writer_lock();
    files::folder(&home.local())?;
    let opened =
        File::options().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = opened.map_err(ToolsError::file("opened", &path))?;
    let start = Instant::now();
    while flock(&file, FlockOperation::NonBlockingLockExclusive).is_err() {
        if context.cancel.is_cancelled() {
            return Err(ToolsError::Cancelled);
        }
        if start.elapsed() >= context.limits.wait {
            let mut said = String::new();
            let _ = file.read_to_string(&mut said);
            let (pid, doing) = said.split_once(' ').unwrap_or(("?", "another command"));
            return Err(ToolsError::Busy { pid: pid.into(), doing: doing.trim().into() });
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let text = format!("{} {doing}\n", std::process::id());
    let write = || -> std::io::Result<()> {
        file.set_len(0)?;
        file.rewind()?;
        file.write_all(text.as_bytes())
    };
    let mut write = write;
    write().map_err(ToolsError::file("written", &path))?;
    Ok(Held(file))
}
