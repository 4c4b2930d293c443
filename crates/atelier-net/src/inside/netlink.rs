//! A few requests of rtnetlink(7), written by hand: the launcher must stay small, and a netlink
//! library would bring a runtime with it.

use std::io;
use std::net::IpAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::named;

/// `IFA_FLAGS`/`IFA_F_NODAD` of linux/if_addr.h: use the address at once, nobody else is there.
const IFA_F_NODAD: u8 = 0x02;
/// `IFLA_AF_SPEC` of linux/if_link.h.
const IFLA_AF_SPEC: u16 = 26;
/// `IFLA_INET6_ADDR_GEN_MODE` of linux/if_link.h.
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
/// `IN6_ADDR_GEN_MODE_NONE` of linux/if_link.h.
const ADDR_GEN_MODE_NONE: u8 = 1;

/// A routing socket of the calling thread's network namespace.
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Netlink {
    pub(super) fn open() -> io::Result<Self> {
        let kind = libc::SOCK_RAW | libc::SOCK_CLOEXEC;
        // SAFETY: no pointers are passed.
        let fd = unsafe { libc::socket(libc::AF_NETLINK, kind, libc::NETLINK_ROUTE) };
        if fd < 0 {
            return Err(named("opening a routing socket"));
        }
        // SAFETY: socket just returned it, and nobody else has it.
        Ok(Self { socket: unsafe { OwnedFd::from_raw_fd(fd) }, sequence: 0 })
    }

    /// Brings a device up.
    pub(super) fn up(&mut self, index: i32) -> io::Result<()> {
        let message = link_message(index, libc::IFF_UP as u32);
        self.request(libc::RTM_NEWLINK, 0, &message, "bringing a network device up")
    }

    /// Sets how long a device's packets may be, in bytes, and its queue, in packets.
    pub(super) fn size(&mut self, index: i32, mtu: u32, queue: u32) -> io::Result<()> {
        let mut message = link_message(index, 0);
        attribute(&mut message, libc::IFLA_MTU, &mtu.to_ne_bytes());
        attribute(&mut message, libc::IFLA_TXQLEN, &queue.to_ne_bytes());
        self.request(libc::RTM_NEWLINK, 0, &message, "setting the network device's MTU")
    }

    /// Sets a device's hardware address.
    pub(super) fn hardware_address(&mut self, index: i32, mac: [u8; 6]) -> io::Result<()> {
        let mut message = link_message(index, 0);
        attribute(&mut message, libc::IFLA_ADDRESS, &mac);
        self.request(libc::RTM_NEWLINK, 0, &message, "setting the hardware address")
    }

    /// Keeps the kernel from giving the device an IPv6 link-local address.
    pub(super) fn no_link_local(&mut self, index: i32) -> io::Result<()> {
        let (mut mode, mut family, mut message) = (Vec::new(), Vec::new(), link_message(index, 0));
        attribute(&mut mode, IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        attribute(&mut family, libc::AF_INET6 as u16, &mode);
        attribute(&mut message, IFLA_AF_SPEC, &family);
        self.request(libc::RTM_NEWLINK, 0, &message, "turning link-local addresses off")
    }

    /// Gives a device an address.
    pub(super) fn address(&mut self, index: i32, ip: IpAddr, prefix: u8) -> io::Result<()> {
        // struct ifaddrmsg: family, prefix length, flags, scope, index.
        let mut message = vec![family(ip), prefix, IFA_F_NODAD, libc::RT_SCOPE_UNIVERSE];
        message.extend(index.to_ne_bytes());
        attribute(&mut message, libc::IFA_LOCAL, &octets(ip));
        attribute(&mut message, libc::IFA_ADDRESS, &octets(ip));
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        self.request(libc::RTM_NEWADDR, flags, &message, "giving the network device an address")
    }

    /// Sends everything that has no better route through a gateway.
    pub(super) fn default_route(&mut self, index: i32, gateway: IpAddr) -> io::Result<()> {
        // struct rtmsg: family, lengths of destination and source, tos, table, protocol, scope,
        // type, flags.
        let mut message = vec![
            family(gateway),
            0,
            0,
            0,
            libc::RT_TABLE_MAIN,
            libc::RTPROT_STATIC,
            libc::RT_SCOPE_UNIVERSE,
            libc::RTN_UNICAST,
        ];
        message.extend(0_u32.to_ne_bytes());
        attribute(&mut message, libc::RTA_GATEWAY, &octets(gateway));
        attribute(&mut message, libc::RTA_OIF, &index.to_ne_bytes());
        let flags = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
        self.request(libc::RTM_NEWROUTE, flags, &message, "setting the default route")
    }

    /// Sends one request and waits for the kernel's answer to it.
    fn request(&mut self, kind: u16, flags: u16, body: &[u8], what: &str) -> io::Result<()> {
        self.sequence += 1;
        let flags = flags | (libc::NLM_F_REQUEST | libc::NLM_F_ACK) as u16;
        // struct nlmsghdr: length, type, flags, sequence, port.
        let mut message = Vec::with_capacity(16 + body.len());
        message.extend((16 + body.len() as u32).to_ne_bytes());
        message.extend(kind.to_ne_bytes());
        message.extend(flags.to_ne_bytes());
        message.extend(self.sequence.to_ne_bytes());
        message.extend(0_u32.to_ne_bytes());
        message.extend(body);
        let fd = self.socket.as_raw_fd();
        // SAFETY: pointer and length are those of one live vector.
        let sent = unsafe { libc::send(fd, message.as_ptr().cast(), message.len(), 0) };
        if sent < 0 {
            return Err(named(what));
        }
        let mut answer = [0_u8; 4096];
        // SAFETY: pointer and length are those of one live array.
        let got = unsafe { libc::recv(fd, answer.as_mut_ptr().cast(), answer.len(), 0) };
        if got < 0 {
            return Err(named(what));
        }
        verdict(answer.get(..got.unsigned_abs()).unwrap_or_default(), what)
    }
}

/// Reads `struct nlmsgerr`: after the header of 16 bytes, a negative error number or zero.
fn verdict(answer: &[u8], what: &str) -> io::Result<()> {
    let code = answer.get(16..20).and_then(|b| b.try_into().ok()).map(i32::from_ne_bytes);
    match code {
        Some(0) => Ok(()),
        Some(code) => {
            let error = io::Error::from_raw_os_error(-code);
            Err(io::Error::new(error.kind(), format!("{what} failed: {error}")))
        }
        None => Err(io::Error::other(format!("{what} failed: the kernel's answer is too short"))),
    }
}

/// `struct ifinfomsg`: family, padding, type, index, flags, mask of flags to change.
fn link_message(index: i32, flags: u32) -> Vec<u8> {
    let mut message = vec![libc::AF_UNSPEC as u8, 0, 0, 0];
    message.extend(index.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message
}

/// Appends `struct rtattr` (length, type) and its value, padded to four bytes.
fn attribute(message: &mut Vec<u8>, kind: u16, value: &[u8]) {
    message.extend((4 + value.len() as u16).to_ne_bytes());
    message.extend(kind.to_ne_bytes());
    message.extend(value);
    message.resize(message.len().next_multiple_of(4), 0);
}

const fn family(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { libc::AF_INET as u8 } else { libc::AF_INET6 as u8 }
}

fn octets(ip: IpAddr) -> Vec<u8> {
    match ip {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    }
}
