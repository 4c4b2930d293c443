//! A socket of this machine behind which a host's control plane answers: whoever knows how to talk to a
//! control plane's socket needs to know nothing of hosts.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use atelier_config::Home;

use crate::error::{FarError, Result};
use crate::hosts::folder;
use crate::ssh::Ssh;

/// The socket, as long as it lives.
#[derive(Debug)]
pub struct Relay {
    path: PathBuf,
}

/// Keeps relays of one process apart.
static NEXT: AtomicU32 = AtomicU32::new(0);

impl Relay {
    /// Each connection becomes a stream to `command` on the host.
    pub(crate) fn open(ssh: &Ssh, command: &str, home: &Home) -> Result<Self> {
        let folder = folder(home)?;
        sweep(&folder);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!("{}-{number}.sock", std::process::id()));
        let _ = fs::remove_file(&path);
        let listener = bind(&folder, &path).map_err(|e| FarError::here("made", &path, e))?;
        let (ssh, command) = (ssh.clone(), command.to_owned());
        let accept = move || {
            for stream in listener.incoming().flatten() {
                // A stream that cannot be joined is closed, which its other end sees.
                let joined = stream.try_clone().map(|twin| (stream, twin));
                let _ = joined.and_then(|(a, b)| ssh.join(&command, a.into(), b.into()));
            }
        };
        let thread = std::thread::Builder::new().name("far-relay".into()).spawn(accept);
        thread.map_err(|e| FarError::here("served", &path, e))?;
        Ok(Self { path })
    }

    /// Where it listens.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// Binds it; through a descriptor of its folder any path fits into a socket's address.
fn bind(folder: &Path, path: &Path) -> io::Result<UnixListener> {
    let Some(name) = path.file_name() else { return Err(io::ErrorKind::InvalidInput.into()) };
    let open = fs::File::open(folder)?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&open);
    let listener =
        UnixListener::bind(Path::new("/proc/self/fd").join(number.to_string()).join(name))?;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Removes the sockets of processes that were killed.
fn sweep(folder: &Path) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.extension().is_some_and(|e| e == "sock")
            && path.as_os_str().len() <= 107
            && UnixStream::connect(&path)
                .is_err_and(|e| e.kind() == io::ErrorKind::ConnectionRefused)
        {
            let _ = fs::remove_file(path);
        }
    }
}
