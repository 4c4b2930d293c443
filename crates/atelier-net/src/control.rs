//! A running stack's control socket: what can be asked of it, and how the control plane asks.
//!
//! One line of JSON is one request, one line is its answer. The socket lies in the sandbox's
//! folder, with a mode that lets nobody but its owner connect. The stack's side is in
//! `stack/orders.rs`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::Policy;

/// The socket's name in the sandbox's folder.
pub const SOCKET: &str = "net.sock";

/// The longest line, either way.
pub(crate) const LONGEST: usize = 4 << 20;
/// The stack answers within a millisecond. One that doesn't is stopped, or gone.
const LIMIT: Duration = Duration::from_secs(5);

/// What a stack can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub(crate) enum Request {
    /// To replace its policy.
    Policy(Policy),
    /// For its numbers.
    Counters {},
    /// To break every connection off.
    Cut {},
}

/// Its answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    Counters(Counters),
    Done { ok: bool },
    Failed { error: String },
}

/// What has passed between a sandbox and its stack since the stack was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Counters {
    /// Bytes of IP packets from the sandbox, those of [`Options::dial`](crate::Options) included.
    pub sent: u64,
    /// Bytes of IP packets to the sandbox.
    pub received: u64,
    /// TCP connections that the sandbox opened and that the policy let through.
    pub connections: u64,
    /// Connections, datagrams, echoes and names that the policy refused.
    pub denied: u64,
}

/// Replaces a running stack's policy. When it returns, connections that the new policy does not
/// allow are closed.
///
/// # Errors
/// When no stack listens at `socket`, or it does not answer within a few seconds.
pub fn set_policy(socket: &Path, policy: &Policy) -> io::Result<()> {
    match ask(socket, &Request::Policy(policy.clone()))? {
        Answer::Done { ok: true } => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Breaks every TCP connection off that a running stack carries, with a reset to both sides. New ones
/// may follow at once.
///
/// # Errors
/// When no stack listens at `socket`, or it does not answer within a few seconds, or was started by
/// a version that knows no such request.
pub fn cut(socket: &Path) -> io::Result<()> {
    match ask(socket, &Request::Cut {})? {
        Answer::Done { ok: true } => Ok(()),
        other => Err(unexpected(other)),
    }
}

/// Reads a running stack's numbers.
///
/// # Errors
/// When no stack listens at `socket`, or it does not answer within a few seconds.
pub fn counters(socket: &Path) -> io::Result<Counters> {
    match ask(socket, &Request::Counters {})? {
        Answer::Counters(counters) => Ok(counters),
        other => Err(unexpected(other)),
    }
}

fn unexpected(answer: Answer) -> io::Error {
    match answer {
        Answer::Failed { error } => io::Error::other(format!("the network stack: {error}")),
        _ => {
            io::Error::new(io::ErrorKind::InvalidData, "the network stack answered something else")
        }
    }
}

fn ask(socket: &Path, request: &Request) -> io::Result<Answer> {
    let mut stream = connect(socket)?;
    let mut line = serde_json::to_vec(request)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = Vec::new();
    BufReader::new(stream).take(LONGEST as u64).read_until(b'\n', &mut answer)?;
    if answer.is_empty() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(serde_json::from_slice(&answer)?)
}

/// Connects within the time limit: a stack that is stopped accepts nobody.
fn connect(path: &Path) -> io::Result<UnixStream> {
    // Held until the connection stands: a long path goes by way of its folder's descriptor.
    let (path, _folder) = short(path)?;
    let address = address(&path)?;
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_UNIX, kind, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: socket just returned it, and nobody else has it.
    let stream = UnixStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
    stream.set_read_timeout(Some(LIMIT))?;
    stream.set_write_timeout(Some(LIMIT))?;
    let size = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
    // SAFETY: pointer and length are those of one live value.
    let done = unsafe { libc::connect(stream.as_raw_fd(), (&raw const address).cast(), size) };
    if done < 0 { Err(io::Error::last_os_error()) } else { Ok(stream) }
}

fn address(path: &Path) -> io::Result<libc::sockaddr_un> {
    let bytes = path.as_os_str().as_bytes();
    // SAFETY: sockaddr_un is plain data for which all-zero is valid.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    // The last byte stays zero.
    if bytes.len() >= address.sun_path.len() || bytes.contains(&0) {
        return Err(io::ErrorKind::InvalidFilename.into());
    }
    for (to, from) in address.sun_path.iter_mut().zip(bytes) {
        *to = libc::c_char::from_ne_bytes([*from]);
    }
    Ok(address)
}

/// A path that fits a socket's address, and what must be held open as long as it is used.
pub(crate) fn short(path: &Path) -> io::Result<(PathBuf, Option<File>)> {
    if path.as_os_str().as_bytes().len() <= 107 {
        return Ok((path.to_owned(), None));
    }
    let invalid = || io::Error::from(io::ErrorKind::InvalidFilename);
    let (folder, name) =
        (path.parent().ok_or_else(invalid)?, path.file_name().ok_or_else(invalid)?);
    let folder = File::open(folder)?;
    let short = Path::new("/proc/self/fd").join(folder.as_raw_fd().to_string()).join(name);
    Ok((short, Some(folder)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_answers_are_as_documented() {
        let read = |text: &str| serde_json::from_str::<Request>(text);
        assert!(matches!(read(r#"{"counters":{}}"#), Ok(Request::Counters {})));
        let policy = read(r#"{"policy":{"mode":"open","deny":["10.0.0.0/8"]}}"#).unwrap();
        assert!(matches!(policy, Request::Policy(policy) if policy.deny.len() == 1));
        assert!(read(r#"{"policy":{"deny":["x y"]}}"#).is_err());
        let answer = serde_json::to_string(&Answer::Done { ok: true }).unwrap();
        assert_eq!(answer, r#"{"ok":true}"#);
        let numbers = r#"{"sent":1,"received":2,"connections":3,"denied":4}"#;
        let Ok(Answer::Counters(read)) = serde_json::from_str(numbers) else { panic!("numbers") };
        assert_eq!(read, Counters { sent: 1, received: 2, connections: 3, denied: 4 });
        let failed = serde_json::from_str::<Answer>(r#"{"error":"no"}"#).unwrap();
        assert!(unexpected(failed).to_string().contains("no"));
    }

    #[test]
    fn a_socket_where_nobody_listens_is_an_error_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let error = counters(&dir.path().join(SOCKET)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
    }
}
