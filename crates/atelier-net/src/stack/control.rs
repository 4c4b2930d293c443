//! The process's own affairs: its descriptors and how many it may have, when to end, where chance
//! comes from.

use std::fs::File;
use std::io::{self, Read};
use std::net::UdpSocket;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use tokio::io::unix::AsyncFd;

/// Returns when what `fd` stands for is over: see [`super::run`].
pub(super) async fn ended(mut fd: OwnedFd) -> io::Result<()> {
    loop {
        let file = watched::<File>(fd)?;
        loop {
            let mut guard = file.readable().await?;
            match guard.try_io(|file| look(file.get_ref())) {
                Ok(Ok(Seen::Nothing)) | Err(_) => {}
                Ok(Ok(Seen::Process(process))) => {
                    fd = process;
                    break;
                }
                // A process's descriptor cannot be read, and is readable when it has ended.
                Ok(Ok(Seen::End) | Err(_)) => return Ok(()),
            }
        }
    }
}

/// What came over a line of [`ended`].
enum Seen {
    Nothing,
    Process(OwnedFd),
    End,
}

fn look(mut file: &File) -> io::Result<Seen> {
    match receive(file) {
        Err(error) if error.raw_os_error() == Some(libc::ENOTSOCK) => match file.read(&mut [0; 64])
        {
            Ok(0) => Ok(Seen::End),
            Ok(_) => Ok(Seen::Nothing),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Ok(Seen::Nothing),
            Err(error) => Err(error),
        },
        seen => seen,
    }
}

/// Reads a socket, with the descriptor that may come along.
fn receive(socket: &File) -> io::Result<Seen> {
    // Room for one descriptor and its header, aligned as the header wants it.
    let mut space = [0_u64; 4];
    let mut byte = [0_u8; 64];
    let mut part = libc::iovec { iov_base: byte.as_mut_ptr().cast(), iov_len: byte.len() };
    // SAFETY: msghdr is plain data for which all-zero is valid.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    message.msg_iov = &raw mut part;
    message.msg_iovlen = 1;
    message.msg_control = space.as_mut_ptr().cast();
    // SAFETY: the macro only computes a length.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size_of::<RawFd>() as u32) } as _;
    // SAFETY: every pointer in the message is to a live value of the length that stands beside it.
    let read =
        unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut message, libc::MSG_CMSG_CLOEXEC) };
    if read < 0 {
        let error = io::Error::last_os_error();
        let interrupted = error.kind() == io::ErrorKind::Interrupted;
        return if interrupted { Ok(Seen::Nothing) } else { Err(error) };
    }
    // SAFETY: the kernel has filled the message in, and its control part is aligned.
    let control = unsafe { libc::CMSG_FIRSTHDR(&raw const message).as_ref() };
    if let Some(control) = control
        && (control.cmsg_level, control.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_RIGHTS)
    {
        // SAFETY: there is room for one descriptor, so one is what the kernel has put there, for us.
        let fd = unsafe {
            OwnedFd::from_raw_fd(libc::CMSG_DATA(control).cast::<RawFd>().read_unaligned())
        };
        return Ok(Seen::Process(fd));
    }
    Ok(if read == 0 { Seen::End } else { Seen::Nothing })
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
