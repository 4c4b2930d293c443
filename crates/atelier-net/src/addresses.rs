//! The addresses that every sandbox sees. They are the same in each one, since each has a network
//! namespace of its own.

#[cfg(feature = "stack")]
use std::net::IpAddr;
use std::net::{Ipv4Addr, Ipv6Addr};

/// The addresses of a sandbox's network, as constants.
///
/// IPv4 is TEST-NET-2 (RFC 5737), which is reserved for documentation, so that next to nothing that
/// the host can reach is hidden from a sandbox. IPv6 is a unique local prefix (RFC 4193): "atel" then "i".
#[derive(Debug)]
pub struct Addresses;

impl Addresses {
    /// The sandbox's own IPv4 address.
    pub const SANDBOX_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);
    /// The gateway; also the host's loopback, at the ports that a rule grants.
    pub const GATEWAY_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
    /// The nameserver to write into the sandbox's `resolv.conf`.
    pub const DNS_V4: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 3);
    /// The prefix length of the IPv4 network.
    pub const PREFIX_V4: u8 = 24;

    /// The sandbox's own IPv6 address.
    pub const SANDBOX_V6: Ipv6Addr = Ipv6Addr::new(0xfd61, 0x7465, 0x6c69, 0, 0, 0, 0, 2);
    /// The IPv6 gateway; also the host's loopback, at the ports that a rule grants.
    pub const GATEWAY_V6: Ipv6Addr = Ipv6Addr::new(0xfd61, 0x7465, 0x6c69, 0, 0, 0, 0, 1);
    /// The nameserver over IPv6.
    pub const DNS_V6: Ipv6Addr = Ipv6Addr::new(0xfd61, 0x7465, 0x6c69, 0, 0, 0, 0, 3);
    /// The prefix length of the IPv6 network.
    pub const PREFIX_V6: u8 = 64;

    /// The name of the host's loopback inside a sandbox; it resolves to the gateway.
    pub const HOST_NAME: &str = "host.atelier.internal";

    /// The MTU of a TUN device in bytes: the largest IPv4 packet there is, so that no datagram
    /// (65,507 bytes at most) is ever cut into fragments, and TCP moves 64 KiB with each system
    /// call.
    pub const MTU: u16 = 65_535;
    /// The usual MTU of an Ethernet link, which every guest can take.
    pub const MTU_ETHERNET: u16 = 1500;
    /// The largest MTU of a TAP device: its frames, with their headers of 14 bytes, are 65,535
    /// bytes long at most.
    pub const MTU_TAP: u16 = 65_521;

    /// The sandbox's hardware address on an Ethernet link: locally administered, "atel" in its
    /// middle. The device inside must have it.
    pub const SANDBOX_MAC: [u8; 6] = [0x02, 0x61, 0x74, 0x65, 0x6c, 0x02];
    /// The hardware address of everything else on an Ethernet link.
    pub const GATEWAY_MAC: [u8; 6] = [0x02, 0x61, 0x74, 0x65, 0x6c, 0x01];

    #[cfg(feature = "stack")]
    pub(crate) fn is_gateway(ip: IpAddr) -> bool {
        ip == IpAddr::V4(Self::GATEWAY_V4) || ip == IpAddr::V6(Self::GATEWAY_V6)
    }

    #[cfg(feature = "stack")]
    pub(crate) fn is_sandbox(ip: IpAddr) -> bool {
        ip == IpAddr::V4(Self::SANDBOX_V4) || ip == IpAddr::V6(Self::SANDBOX_V6)
    }

    #[cfg(feature = "stack")]
    pub(crate) fn is_dns(ip: IpAddr) -> bool {
        ip == IpAddr::V4(Self::DNS_V4) || ip == IpAddr::V6(Self::DNS_V6)
    }
}
