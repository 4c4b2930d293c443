//! A connection that is handed over: from a sandbox's stack, which has opened it as far as the
//! policy allows, to the control plane, which changes the requests on it.
//!
//! One message on the control plane's socket is one connection: a line of JSON, and with it two
//! descriptors: the sandbox's side as a stream socket, and the connection to the server. Nothing is
//! answered. Whoever drops the two ends the connection.

use std::io;
use std::mem::{MaybeUninit, size_of_val};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use serde::{Deserialize, Serialize};

/// The longest line. A name has 253 characters at most.
const LONGEST: usize = 4096;
/// Descriptors of a message.
const COUNT: usize = 2;

/// What is said of a connection.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Handover {
    /// [`crate::Intercept::token`].
    pub token: String,
    /// The host that the sandbox's first words name, in lower case.
    pub host: String,
    /// The port that it connected to.
    pub port: u16,
    /// Whether these words begin TLS; otherwise HTTP.
    pub secure: bool,
    /// Whether the address is one that the host's name leads to. TLS proves that by itself; without,
    /// any server could be called by that name, and be sent what is meant for the host.
    pub named: bool,
}

/// Both ends of a connection that was handed over.
#[derive(Debug)]
pub struct Ends {
    /// What the sandbox says is read here.
    pub sandbox: OwnedFd,
    /// The TCP connection to the server.
    pub server: OwnedFd,
}

/// Room for the descriptors and their header, aligned as the header wants it.
type Space = [u64; 4];

/// Sends one over a Unix socket.
///
/// # Errors
/// When the socket takes nothing: [`io::ErrorKind::WouldBlock`] when it takes nothing now.
pub fn send(socket: &impl AsRawFd, said: &Handover, ends: &Ends) -> io::Result<()> {
    let mut line = serde_json::to_vec(said)?;
    line.push(b'\n');
    let descriptors: [RawFd; COUNT] = [ends.sandbox.as_raw_fd(), ends.server.as_raw_fd()];
    let size = u32::try_from(size_of_val(&descriptors)).map_err(io::Error::other)?;
    let mut space: Space = [0; 4];
    let mut part = libc::iovec { iov_base: line.as_mut_ptr().cast(), iov_len: line.len() };
    let mut message = empty(&mut part, &mut space, size);
    // SAFETY: the control part is aligned and has room for the header and the descriptors.
    unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        (*header).cmsg_level = libc::SOL_SOCKET;
        (*header).cmsg_type = libc::SCM_RIGHTS;
        (*header).cmsg_len = libc::CMSG_LEN(size) as _;
        libc::CMSG_DATA(header).cast::<[RawFd; COUNT]>().write_unaligned(descriptors);
    }
    // SAFETY: every pointer in the message is to a live value of the length that stands beside it.
    let sent = unsafe { libc::sendmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_NOSIGNAL) };
    match usize::try_from(sent) {
        Ok(all) if all == line.len() => Ok(()),
        Ok(_) => Err(io::ErrorKind::WriteZero.into()),
        Err(_) => Err(io::Error::last_os_error()),
    }
}

/// Takes one from a Unix socket; none when the other side has gone.
///
/// # Errors
/// When it can't be read ([`io::ErrorKind::WouldBlock`] when there is nothing yet), or what came is
/// no handover.
pub fn receive(socket: &impl AsRawFd) -> io::Result<Option<(Handover, Ends)>> {
    let mut line = [MaybeUninit::<u8>::uninit(); LONGEST];
    let mut space: Space = [0; 4];
    let mut part = libc::iovec { iov_base: line.as_mut_ptr().cast(), iov_len: line.len() };
    let size = u32::try_from(size_of::<[RawFd; COUNT]>()).map_err(io::Error::other)?;
    let mut message = empty(&mut part, &mut space, size);
    // SAFETY: every pointer in the message is to a live value of the length that stands beside it.
    let read =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    let Ok(read) = usize::try_from(read) else { return Err(io::Error::last_os_error()) };
    let ends = descriptors(&message);
    if read == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel has written so many bytes there.
    let line = unsafe { std::slice::from_raw_parts(line.as_ptr().cast::<u8>(), read) };
    let invalid = || io::Error::from(io::ErrorKind::InvalidData);
    let line = line.strip_suffix(b"\n").ok_or_else(invalid)?;
    Ok(Some((serde_json::from_slice(line)?, ends.ok_or_else(invalid)?)))
}

fn empty(part: &mut libc::iovec, space: &mut Space, size: u32) -> libc::msghdr {
    // SAFETY: msghdr is plain data for which all-zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = part;
    message.msg_iovlen = 1;
    message.msg_control = space.as_mut_ptr().cast();
    // SAFETY: the macro only computes a length.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as _;
    message
}

/// The descriptors that came with a message; those of a message with another number are closed.
fn descriptors(message: &libc::msghdr) -> Option<Ends> {
    // SAFETY: the kernel has filled the message in, and its control part is aligned.
    let header = unsafe { libc::CMSG_FIRSTHDR(message).as_ref() }?;
    if (header.cmsg_level, header.cmsg_type) != (libc::SOL_SOCKET, libc::SCM_RIGHTS) {
        return None;
    }
    // SAFETY: the macro only computes a length.
    let before = unsafe { libc::CMSG_LEN(0) } as usize;
    let count = (header.cmsg_len as usize).saturating_sub(before) / size_of::<RawFd>();
    // SAFETY: the kernel has put so many descriptors there, and they are ours alone.
    let mut all = (0..count).map(|at| unsafe {
        OwnedFd::from_raw_fd(libc::CMSG_DATA(header).cast::<RawFd>().add(at).read_unaligned())
    });
    let all: Vec<OwnedFd> = all.by_ref().collect();
    let [sandbox, server] = <[OwnedFd; COUNT]>::try_from(all).ok()?;
    Some(Ends { sandbox, server })
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn said() -> Handover {
        let (token, host) = ("t".repeat(64), "api.test".to_owned());
        Handover { token, host, port: 443, secure: true, named: false }
    }

    #[test]
    fn both_ends_arrive_and_are_the_same_streams() {
        let (from, to) = UnixStream::pair().unwrap();
        let (mut inside, sandbox) = UnixStream::pair().unwrap();
        let (mut outside, server) = UnixStream::pair().unwrap();
        let ends = Ends { sandbox: sandbox.into(), server: server.into() };
        send(&from, &said(), &ends).unwrap();
        drop(ends);
        let (read, ends) = receive(&to).unwrap().unwrap();
        assert!(read == said());
        inside.write_all(b"in").unwrap();
        outside.write_all(b"out").unwrap();
        let (mut sandbox, mut server) =
            (UnixStream::from(ends.sandbox), UnixStream::from(ends.server));
        let mut bytes = [0; 3];
        assert_eq!((sandbox.read(&mut bytes).unwrap(), &bytes[..2]), (2, &b"in"[..]));
        assert_eq!((server.read(&mut bytes).unwrap(), &bytes), (3, b"out"));
        drop(from);
        assert!(receive(&to).unwrap().is_none());
    }

    #[test]
    fn what_is_no_handover_is_refused() {
        let (mut from, to) = UnixStream::pair().unwrap();
        let line = serde_json::to_vec(&said()).unwrap();
        from.write_all(&[&line[..], b"\n"].concat()).unwrap();
        let error = receive(&to).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::InvalidData, "no descriptors");
        from.write_all(b"{}\n").unwrap();
        assert!(receive(&to).is_err());
    }
}
