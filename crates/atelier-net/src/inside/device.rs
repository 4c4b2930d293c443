//! The descriptors that packets and frames go through.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::named;

/// What may wait in a socket between a sandbox and its stack, in bytes. Without privileges the
/// kernel's own limit (`net.core.rmem_max`, `wmem_max`) holds.
const BUFFER: libc::c_int = 4 << 20;

/// What goes through a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// IP packets.
    Tun,
    /// Ethernet frames.
    Tap,
}

/// The request of `TUNSETIFF`: `struct ifreq` of netdevice(7), 40 bytes on every 64-bit Linux.
#[repr(C)]
struct InterfaceRequest {
    name: [libc::c_char; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

/// Makes a device. It lives as long as the descriptor.
pub(super) fn create(name: &str, kind: Kind) -> io::Result<OwnedFd> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is no name for a network device: 1 to 15 bytes"),
        ));
    }
    let flags = libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL-terminated constant.
    let fd = unsafe { libc::open(c"/dev/net/tun".as_ptr(), flags) };
    let fd = owned(fd, "opening /dev/net/tun")?;
    let mut request = InterfaceRequest { name: [0; _], flags: 0, rest: [0; _] };
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    let kind = if kind == Kind::Tun { libc::IFF_TUN } else { libc::IFF_TAP };
    // The flags are 0x1002 at most: they fit.
    request.flags = (kind | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is a TUN control file and the request has the kernel's layout.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if done < 0 {
        return Err(named("making the network device"));
    }
    Ok(fd)
}

/// Makes a device outlive its descriptor.
pub(super) fn persist(device: &OwnedFd) -> io::Result<()> {
    // SAFETY: the descriptor is a TUN control file, and the argument is a number.
    let done = unsafe { libc::ioctl(device.as_raw_fd(), libc::TUNSETPERSIST as _, 1) };
    if done < 0 { Err(named("keeping the network device")) } else { Ok(()) }
}

/// A socket for the frames of one device.
pub(super) fn packet_socket(index: i32) -> io::Result<OwnedFd> {
    // With no protocol nothing arrives until it is bound.
    let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
    // SAFETY: no pointers are passed.
    let fd = unsafe { libc::socket(libc::AF_PACKET, kind, 0) };
    let socket = owned(fd, "opening a packet socket")?;
    enlarge(&socket);
    // What we send ourselves must not come back.
    let done = option(&socket, libc::SOL_PACKET, libc::PACKET_IGNORE_OUTGOING, 1);
    if done < 0 {
        return Err(named("setting up a packet socket"));
    }
    // SAFETY: sockaddr_ll is plain data for which all-zero is valid.
    let mut address: libc::sockaddr_ll = unsafe { std::mem::zeroed() };
    address.sll_family = libc::AF_PACKET as libc::c_ushort;
    address.sll_protocol = (libc::ETH_P_ALL as u16).to_be();
    address.sll_ifindex = index;
    let size = size_of_val(&address) as libc::socklen_t;
    // SAFETY: pointer and length are those of one live value.
    let done = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), size) };
    if done < 0 { Err(named("binding a packet socket")) } else { Ok(socket) }
}

/// Two sockets joined to one another, each message of which is a frame: one for the network stack
/// (`Link::Ethernet`), one for a program to inherit. Both are close-on-exec.
///
/// # Errors
/// When there are too many descriptors.
pub fn wire_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut pair = [0; 2];
    let kind = libc::SOCK_DGRAM | libc::SOCK_CLOEXEC;
    // SAFETY: the pointer is to an array of two descriptors.
    let done = unsafe { libc::socketpair(libc::AF_UNIX, kind, 0, pair.as_mut_ptr()) };
    if done < 0 {
        return Err(named("making a socket pair"));
    }
    // SAFETY: the kernel just returned both, and nobody else has them.
    let [ours, theirs] = pair.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    enlarge(&ours);
    enlarge(&theirs);
    Ok((ours, theirs))
}

fn enlarge(socket: &OwnedFd) {
    for (privileged, plain) in
        [(libc::SO_RCVBUFFORCE, libc::SO_RCVBUF), (libc::SO_SNDBUFFORCE, libc::SO_SNDBUF)]
    {
        if option(socket, libc::SOL_SOCKET, privileged, BUFFER) < 0 {
            option(socket, libc::SOL_SOCKET, plain, BUFFER);
        }
    }
}

fn option(socket: &OwnedFd, level: i32, name: i32, value: libc::c_int) -> libc::c_int {
    let size = size_of_val(&value) as libc::socklen_t;
    // SAFETY: pointer and length are those of one live value.
    unsafe { libc::setsockopt(socket.as_raw_fd(), level, name, (&raw const value).cast(), size) }
}

fn owned(fd: libc::c_int, what: &str) -> io::Result<OwnedFd> {
    if fd < 0 {
        return Err(named(what));
    }
    // SAFETY: the kernel just returned it, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}
