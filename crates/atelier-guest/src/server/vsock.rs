//! Listening on a virtual machine's vsock, vsock(7).

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use tokio::io::unix::AsyncFd;
use tokio::net::UnixStream;

/// Connections that may wait to be accepted.
const BACKLOG: libc::c_int = 128;

/// Listens at a port, for whoever is outside.
pub(super) fn listen(port: u32) -> io::Result<OwnedFd> {
    let kind = libc::SOCK_STREAM | libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    // SAFETY: no pointers are passed.
    let fd = check(unsafe { libc::socket(libc::AF_VSOCK, kind, 0) })?;
    // SAFETY: socket just returned it, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    // SAFETY: all-zero is a valid sockaddr_vm.
    let mut address: libc::sockaddr_vm = unsafe { std::mem::zeroed() };
    address.svm_family = libc::AF_VSOCK as libc::sa_family_t;
    address.svm_port = port;
    address.svm_cid = libc::VMADDR_CID_ANY;
    let length = size_of_val(&address) as libc::socklen_t;
    // SAFETY: the address is live and as long as we say.
    check(unsafe { libc::bind(fd.as_raw_fd(), (&raw const address).cast(), length) })?;
    // SAFETY: no pointers are passed.
    check(unsafe { libc::listen(fd.as_raw_fd(), BACKLOG) })?;
    Ok(fd)
}

/// The next connection. It is a stream socket like any other, and nothing that is done with it
/// looks at its address; so it is handled as the kind that we have already.
pub(super) async fn accept(listener: &AsyncFd<OwnedFd>) -> io::Result<UnixStream> {
    loop {
        let mut ready = listener.readable().await?;
        if let Ok(accepted) = ready.try_io(|fd| accept_now(fd.get_ref())) {
            return UnixStream::from_std(accepted?.into());
        }
    }
}

fn accept_now(listener: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK;
    let (address, length) = (std::ptr::null_mut(), std::ptr::null_mut());
    // SAFETY: null pointers mean that the peer's address is not wanted.
    let fd = check(unsafe { libc::accept4(listener.as_raw_fd(), address, length, flags) })?;
    // SAFETY: accept4 just returned it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn check(result: libc::c_int) -> io::Result<libc::c_int> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
