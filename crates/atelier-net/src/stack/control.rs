//! The process's own affairs: its descriptors and how many it may have, when to end, where chance
//! comes from.

use std::fs::File;
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, OwnedFd};

use tokio::io::unix::AsyncFd;

/// Returns when the other end of `fd` is closed. What is written to it is read and ignored.
pub(super) async fn closed(fd: OwnedFd) -> io::Result<()> {
    let file = watched::<File>(fd)?;
    loop {
        let mut guard = file.readable().await?;
        match guard.try_io(|file| file.get_ref().read(&mut [0; 64])) {
            Ok(Ok(0)) => return Ok(()),
            Ok(Err(error)) if error.kind() != io::ErrorKind::Interrupted => return Ok(()),
            _ => {}
        }
    }
}

/// What may be watched: types that own their descriptor and keep it until they are dropped.
pub(super) trait Owner: From<OwnedFd> + AsRawFd {}
impl Owner for File {}
impl Owner for UdpSocket {}

/// A descriptor that the runtime waits for, and that never blocks.
pub(super) fn watched<T: Owner>(fd: OwnedFd) -> io::Result<AsyncFd<T>> {
    // SAFETY: the descriptor is open, and these commands take no pointers.
    let done = unsafe {
        let flags = libc::fcntl(fd.as_raw_fd(), libc::F_GETFL);
        libc::fcntl(fd.as_raw_fd(), libc::F_SETFL, flags | libc::O_NONBLOCK)
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: an owner's descriptor neither changes nor closes before it is dropped.
    Ok(unsafe { AsyncFd::register(T::from(fd)) }?)
}

/// Every connection of the sandbox is one of our files: the soft limit (1,024 as a rule) goes up
/// to the hard one.
pub(super) fn raise_open_files() {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the pointer is to a live struct of the right type.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) == 0 {
            limit.rlim_cur = limit.rlim_max;
            libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit);
        }
    }
}

/// Makes the allocator give large buffers mappings of their own, always, so that a connection's
/// memory goes back when it ends and its untouched part never exists. musl does so by itself; the
/// GNU allocator stops after the first such buffer was freed.
pub(super) fn return_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: the call changes a number of the allocator's.
    unsafe {
        libc::mallopt(libc::M_MMAP_THRESHOLD, 64 * 1024);
    }
}

/// 64 bits that nobody can guess.
pub(super) fn random() -> io::Result<u64> {
    let mut bytes = [0_u8; 8];
    // SAFETY: pointer and length are those of one live array.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    if got == 8 { Ok(u64::from_ne_bytes(bytes)) } else { Err(io::Error::last_os_error()) }
}
