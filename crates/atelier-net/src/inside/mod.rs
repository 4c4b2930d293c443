//! What the launcher does before it gives its capabilities up: the sandbox's device in a new network
//! namespace, its addresses and routes, and loopback. Only system calls: no threads, no runtime.

mod device;
mod netlink;

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use crate::Addresses;
use device::Kind;
use netlink::Netlink;

pub use device::wire_pair;

/// The usual name of the device inside a sandbox.
pub const DEVICE: &str = "eth0";

/// Packets that may wait for the stack. The kernel drops those beyond, which TCP pays for with a
/// pause: the usual 500 overflow with 200 busy connections, each with four packets under way.
const QUEUE: u32 = 4096;

/// Makes the TUN device `name` in the calling thread's network namespace, gives it the addresses
/// and the default routes of [`Addresses`], and brings it and loopback up.
///
/// The returned descriptor is the network's other end; hand it to the network stack as
/// `Link::Ip`. It is close-on-exec. The device lives as long as that descriptor is open anywhere.
///
/// # Errors
/// When `/dev/net/tun` cannot be opened, `CAP_NET_ADMIN` over the namespace is missing, or the name
/// is too long (15 bytes). A kernel without IPv6 is no error.
pub fn configure_inside(name: &str) -> io::Result<OwnedFd> {
    let tun = device::create(name, Kind::Tun)?;
    configure_link(name, u32::from(Addresses::MTU))?;
    loopback_up()?;
    Ok(tun)
}

/// The same with a TAP device, which has [`Addresses::SANDBOX_MAC`]: for a runtime that takes a
/// device of the namespace over, with its addresses, routes and MTU, as gVisor does. The descriptor
/// is for `Link::Ethernet` with the same `mtu`, which is [`Addresses::MTU_TAP`] at most.
///
/// # Errors
/// As [`configure_inside`].
pub fn configure_tap(name: &str, mtu: u16) -> io::Result<OwnedFd> {
    let tap = device::create(name, Kind::Tap)?;
    Netlink::open()?.hardware_address(interface_index(name)?, Addresses::SANDBOX_MAC)?;
    configure_link(name, u32::from(mtu))?;
    loopback_up()?;
    Ok(tap)
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

/// Makes the TAP device `name` in the calling thread's network namespace, without addresses, for a
/// program there that opens it by its name and carries the frames into a machine of its own
/// (`CAP_NET_ADMIN` over the namespace is needed to open it). Brings it and loopback up.
///
/// The returned descriptor is a raw packet socket that is bound to the device, for
/// `Link::Ethernet`. The device lives as long as the namespace: that is, until the last process in
/// it has ended and the descriptor is closed.
///
/// # Errors
/// As [`configure_inside`]; and without `CAP_NET_RAW` over the namespace.
pub fn configure_wire(name: &str, mtu: u16) -> io::Result<OwnedFd> {
    device::persist(&device::create(name, Kind::Tap)?)?;
    let mut netlink = Netlink::open()?;
    let index = interface_index(name)?;
    let _ = netlink.no_link_local(index);
    netlink.size(index, u32::from(mtu), QUEUE)?;
    netlink.up(index)?;
    netlink.up(interface_index("lo")?)?;
    device::packet_socket(index)
}

/// Brings loopback up in the calling thread's network namespace, for a sandbox without a network.
///
/// # Errors
/// When `CAP_NET_ADMIN` over the namespace is missing.
pub fn loopback_up() -> io::Result<()> {
    Netlink::open()?.up(interface_index("lo")?)
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
