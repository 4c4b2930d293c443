//! Addresses that are not simply "out there": what belongs to the host, to the link or to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Addresses;

/// The IPv4 address inside an IPv6 one (mapped, compatible, NAT64, 6to4), where such a packet may
/// end, so that no other spelling of an address slips by. Any other address is itself.
pub(super) fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let v4 =
        |hi: u16, lo: u16| IpAddr::V4(Ipv4Addr::from_bits((u32::from(hi) << 16) | u32::from(lo)));
    match v6.segments() {
        [0, 0, 0, 0, 0, 0xffff, hi, lo] | [0x64, 0xff9b, 0 | 1, _, _, _, hi, lo] => v4(hi, lo),
        [0, 0, 0, 0, 0, 0, hi, lo] if hi != 0 => v4(hi, lo),
        [0x2002, hi, lo, ..] => v4(hi, lo),
        _ => ip,
    }
}

/// Addresses that no rule opens: unspecified, multicast, broadcast, reserved, and our own network.
pub(super) fn never(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            a == 0 || a == 127 || a >= 224 || [a, b, c] == Addresses::GATEWAY_V4.octets()[..3]
        }
        IpAddr::V6(v6) => {
            let ours = v6.segments()[..4] == [0xfd61, 0x7465, 0x6c69, 0];
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || ours
        }
    }
}

/// Metadata services of clouds that are not at a link-local address: Amazon's over IPv6, Alibaba's
/// and Azure's.
const METADATA: [IpAddr; 3] = [
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V4(Ipv4Addr::new(168, 63, 129, 16)),
];

/// Addresses that only a rule of their own opens: link-local ones and cloud metadata services.
pub(super) fn special(ip: IpAddr) -> bool {
    let link_local = match ip {
        IpAddr::V4(v4) => v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_unicast_link_local(),
    };
    link_local || METADATA.contains(&ip)
}
