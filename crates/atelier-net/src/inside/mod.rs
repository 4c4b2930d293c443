//! What the launcher does inside a new network namespace, before it gives its capabilities up: the
//! TUN device, its addresses and routes, and loopback. Only system calls: no threads, no runtime.

mod netlink;

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use crate::Addresses;
use netlink::Netlink;

/// The usual name of the device inside a sandbox.
pub const DEVICE: &str = "eth0";

/// Packets that may wait for the stack. The kernel drops those beyond, which TCP pays for with a
/// pause: the usual 500 overflow with 200 busy connections, each with four packets under way.
const QUEUE: u32 = 4096;

/// Makes the TUN device `name` in the calling thread's network namespace, gives it the addresses
/// and the default routes of [`Addresses`], and brings it and loopback up.
///
/// The returned descriptor is the network's other end; hand it to the network stack. It is
/// close-on-exec. The device lives as long as that descriptor is open anywhere.
///
/// # Errors
/// When `/dev/net/tun` cannot be opened, `CAP_NET_ADMIN` over the namespace is missing, or the name
/// is too long (15 bytes). A kernel without IPv6 is no error.
pub fn configure_inside(name: &str) -> io::Result<OwnedFd> {
    let tun = create_tun(name)?;
    configure_link(name, u32::from(Addresses::MTU))?;
    Netlink::open()?.up(interface_index("lo")?)?;
    Ok(tun)
}

/// Gives the device `name`, which is there already, the addresses and the default routes of
/// [`Addresses`], and brings it up. For a virtual machine's link.
///
/// # Errors
/// When there is no such device, or `CAP_NET_ADMIN` is missing. A kernel without IPv6 is no error.
pub fn configure_link(name: &str, mtu: u32) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    let index = interface_index(name)?;
    // Without it the kernel gives the device a link-local address and asks for routers, again and
    // again. A kernel without IPv6 refuses it, which is as good.
    let _ = netlink.no_link_local(index);
    netlink.size(index, mtu, QUEUE)?;
    netlink.up(index)?;
    netlink.address(index, IpAddr::V4(Addresses::SANDBOX_V4), Addresses::PREFIX_V4)?;
    netlink.default_route(index, IpAddr::V4(Addresses::GATEWAY_V4))?;
    let _ = netlink
        .address(index, IpAddr::V6(Addresses::SANDBOX_V6), Addresses::PREFIX_V6)
        .and_then(|()| netlink.default_route(index, IpAddr::V6(Addresses::GATEWAY_V6)));
    Ok(())
}

/// Brings loopback up in the calling thread's network namespace, for a sandbox without a network.
///
/// # Errors
/// When `CAP_NET_ADMIN` over the namespace is missing.
pub fn loopback_up() -> io::Result<()> {
    Netlink::open()?.up(interface_index("lo")?)
}

/// The request of `TUNSETIFF`: `struct ifreq` of netdevice(7), 40 bytes on every 64-bit Linux.
#[repr(C)]
struct InterfaceRequest {
    name: [libc::c_char; libc::IFNAMSIZ],
    flags: libc::c_short,
    rest: [u8; 22],
}

fn create_tun(name: &str) -> io::Result<OwnedFd> {
    if name.is_empty() || name.len() >= libc::IFNAMSIZ || name.contains('\0') {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            format!("{name:?} is no name for a network device: 1 to 15 bytes"),
        ));
    }
    let flags = libc::O_RDWR | libc::O_CLOEXEC;
    // SAFETY: the path is a NUL-terminated constant.
    let fd = unsafe { libc::open(c"/dev/net/tun".as_ptr(), flags) };
    if fd < 0 {
        return Err(named("opening /dev/net/tun"));
    }
    // SAFETY: open just returned it, and nobody else has it.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut request = InterfaceRequest { name: [0; _], flags: 0, rest: [0; _] };
    for (to, from) in request.name.iter_mut().zip(name.bytes()) {
        *to = libc::c_char::from_ne_bytes([from]);
    }
    // The flags are 0x1001: they fit.
    request.flags = (libc::IFF_TUN | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: the descriptor is a TUN control file and the request has the kernel's layout.
    let done = unsafe { libc::ioctl(fd.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) };
    if done < 0 {
        return Err(named("making the TUN device"));
    }
    Ok(fd)
}

fn interface_index(name: &str) -> io::Result<i32> {
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the name is NUL-terminated and lives through the call.
    let index = unsafe { libc::if_nametoindex(name.as_ptr()) };
    i32::try_from(index).ok().filter(|i| *i > 0).ok_or_else(|| named("looking a network device up"))
}

/// The last system error, with what was tried before it.
fn named(what: &str) -> io::Error {
    let error = io::Error::last_os_error();
    io::Error::new(error.kind(), format!("{what} failed: {error}"))
}
