//! Addresses that are not simply "out there": what belongs to the host, to the link or to nobody.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The address that a packet to `ip` would reach in the end: IPv4 addresses inside IPv6 ones
/// (mapped, compatible, NAT64, 6to4) come out, so that no other spelling of an address slips by.
pub(super) fn embedded(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    let s = v6.segments();
    let low = |hi: u16, lo: u16| IpAddr::V4(Ipv4Addr::from_bits(u32::from(hi) << 16 | u32::from(lo)));
    match s {
        [0, 0, 0, 0, 0, 0xffff, hi, lo] | [0x64, 0xff9b, 0, 0, 0, 0, hi, lo] => low(hi, lo),
        [0, 0, 0, 0, 0, 0, hi, lo] if hi != 0 => low(hi, lo),
        [0x2002, hi, lo, ..] => low(hi, lo),
        _ => ip,
    }
}

/// Addresses that no rule opens: unspecified, multicast, broadcast, reserved, and our own network.
pub(super) fn never(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => {
            let [a, b, c, _] = v4.octets();
            a == 0 || a == 127 || a >= 224 || (a, b, c) == (192, 0, 2)
        }
        IpAddr::V6(v6) => {
            let ours = v6.segments()[..4] == [0xfd61, 0x7465, 0x6c69, 0];
            v6.is_unspecified() || v6.is_loopback() || v6.is_multicast() || ours
        }
    }
}

/// Amazon's metadata service over IPv6, the one that is not link-local.
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);
/// Alibaba Cloud's metadata service, in the carriers' shared range.
const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

/// Addresses that only a rule of their own opens: link-local ones and cloud metadata services.
pub(super) fn special(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(v4) => v4.is_link_local() || v4 == ALIBABA_METADATA,
        IpAddr::V6(v6) => v6.is_unicast_link_local() || v6 == EC2_METADATA,
    }
}
