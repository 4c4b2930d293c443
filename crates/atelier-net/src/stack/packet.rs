//! IP packets as bytes: what the stack must read of one, and the few that it writes itself (UDP,
//! echo replies, resets, "unreachable"). TCP's own segments are smoltcp's.

use std::net::{IpAddr, SocketAddr};

pub(super) const TCP: u8 = 6;
pub(super) const UDP: u8 = 17;
pub(super) const ICMP: u8 = 1;
pub(super) const ICMP_V6: u8 = 58;
pub(super) const FRAGMENT: u8 = 44;

/// TCP flags (RFC 9293 section 3.1).
const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Who talks to whom, seen from the sandbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Pair {
    pub(super) src: SocketAddr,
    pub(super) dst: SocketAddr,
}

/// A packet from the sandbox, its header read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packet<'a> {
    pub(super) src: IpAddr,
    pub(super) dst: IpAddr,
    pub(super) protocol: u8,
    pub(super) payload: &'a [u8],
    bytes: &'a [u8],
}

/// Why a packet could not be delivered, with its ICMP and ICMPv6 codes (RFC 792, RFC 1812, RFC
/// 4443).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unreachable {
    Network,
    Host,
    Port,
    Prohibited,
}

impl<'a> Packet<'a> {
    /// Reads the IP header. `None` for fragments of IPv4 ([`super::fragments`]) and broken packets.
    /// What follows extension headers of IPv6 is not looked for.
    pub(super) fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => None,
        }
    }

    fn parse_v4(bytes: &'a [u8]) -> Option<Self> {
        let header = usize::from(bytes[0] & 0x0f) * 4;
        let total = usize::from(u16_at(bytes, 2)?);
        let fragment = u16_at(bytes, 6)? & 0x3fff;
        if header < 20 || total < header || fragment != 0 {
            return None;
        }
        let bytes = bytes.get(..total)?;
        let address = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        Some(Self {
            src: address(12)?.into(),
            dst: address(16)?.into(),
            protocol: *bytes.get(9)?,
            payload: bytes.get(header..)?,
            bytes,
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Option<Self> {
        let bytes = bytes.get(..40 + usize::from(u16_at(bytes, 4)?))?;
        let address = |at: usize| -> Option<[u8; 16]> { bytes.get(at..at + 16)?.try_into().ok() };
        Some(Self {
            src: address(8)?.into(),
            dst: address(24)?.into(),
            protocol: *bytes.get(6)?,
            payload: bytes.get(40..)?,
            bytes,
        })
    }

    /// The whole packet.
    pub(super) fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The ports of TCP and UDP, with the addresses.
    pub(super) fn pair(&self) -> Option<Pair> {
        let (from, to) = (u16_at(self.payload, 0)?, u16_at(self.payload, 2)?);
        Some(Pair { src: SocketAddr::new(self.src, from), dst: SocketAddr::new(self.dst, to) })
    }

    /// A TCP segment's flags.
    pub(super) fn tcp_flags(&self) -> Option<TcpFlags> {
        self.payload.get(13).copied().map(TcpFlags)
    }

    /// What a TCP segment acknowledges, if anything.
    pub(super) fn tcp_ack(&self) -> Option<u32> {
        let acknowledges = self.tcp_flags()?.0 & ACK != 0;
        u32_at(self.payload, 8).filter(|_| acknowledges)
    }

    /// How many numbers a TCP segment takes: one for each byte of data, one for its opening and
    /// for its end.
    pub(super) fn tcp_span(&self) -> Option<u32> {
        let (tcp, flags) = (self.payload, self.tcp_flags()?);
        let header = usize::from(tcp.get(12)? >> 4) * 4;
        let span = tcp.len().checked_sub(header)? + flags.has(SYN) + flags.has(FIN);
        u32::try_from(span).ok()
    }

    /// A UDP datagram's data.
    pub(super) fn udp_data(&self) -> Option<&'a [u8]> {
        self.payload.get(8..usize::from(u16_at(self.payload, 4)?))
    }

    /// The reset that answers a TCP segment which belongs to nothing (RFC 9293 section 3.10.7.1).
    pub(super) fn reset(&self) -> Option<Vec<u8>> {
        let tcp = self.payload;
        let (seq, ack, answer) = match self.tcp_ack() {
            Some(ack) => (ack, 0, RST),
            None => (0, u32_at(tcp, 4)?.wrapping_add(self.tcp_span()?), RST | ACK),
        };
        let mut segment = Vec::with_capacity(20);
        segment.extend_from_slice(tcp.get(2..4)?);
        segment.extend_from_slice(tcp.get(0..2)?);
        segment.extend(seq.to_be_bytes());
        segment.extend(ack.to_be_bytes());
        segment.extend([5 << 4, answer, 0, 0, 0, 0, 0, 0]);
        seal(self.dst, self.src, TCP, &mut segment, 16);
        Some(wrap(self.dst, self.src, TCP, &segment))
    }

    /// The ICMP message that says why this packet went nowhere, from its own destination.
    pub(super) fn unreachable(&self, why: Unreachable) -> Vec<u8> {
        let v4 = self.src.is_ipv4();
        let (kind, code) = match (why, v4) {
            (Unreachable::Network, true) => (3, 0),
            (Unreachable::Host, true) => (3, 1),
            (Unreachable::Port, true) => (3, 3),
            (Unreachable::Prohibited, true) => (3, 13),
            (Unreachable::Network, false) => (1, 0),
            (Unreachable::Host, false) => (1, 3),
            (Unreachable::Port, false) => (1, 4),
            (Unreachable::Prohibited, false) => (1, 1),
        };
        // The sender finds its socket by the headers that are quoted.
        let quoted = self.bytes.get(..self.bytes.len().min(128)).unwrap_or_default();
        let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
        message.extend_from_slice(quoted);
        icmp(self.dst, self.src, message)
    }
}

/// The flags of a TCP segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TcpFlags(u8);

impl TcpFlags {
    fn has(self, flag: u8) -> usize {
        usize::from(self.0 & flag != 0)
    }

    /// Whether it opens a connection.
    pub(super) fn opens(self) -> bool {
        self.0 & (SYN | ACK | RST | FIN) == SYN
    }

    /// Whether it resets one.
    pub(super) fn resets(self) -> bool {
        self.0 & RST != 0
    }
}

/// A UDP packet from one address to another. `None` when it is longer than an IP packet can be.
pub(super) fn udp(from: SocketAddr, to: SocketAddr, data: &[u8]) -> Option<Vec<u8>> {
    let length = u16::try_from(8 + data.len()).ok()?;
    let mut datagram = Vec::with_capacity(usize::from(length));
    datagram.extend(from.port().to_be_bytes());
    datagram.extend(to.port().to_be_bytes());
    datagram.extend(length.to_be_bytes());
    datagram.extend([0, 0]);
    datagram.extend_from_slice(data);
    seal(from.ip(), to.ip(), UDP, &mut datagram, 6);
    if datagram[6..8] == [0, 0] {
        // Zero would say that there is none (RFC 768).
        datagram[6..8].copy_from_slice(&[0xff, 0xff]);
    }
    Some(wrap(from.ip(), to.ip(), UDP, &datagram))
}

/// An ICMP or ICMPv6 packet, by the family of its addresses. The message's checksum is set here.
pub(super) fn icmp(from: IpAddr, to: IpAddr, mut message: Vec<u8>) -> Vec<u8> {
    if let Some(field) = message.get_mut(2..4) {
        field.fill(0);
    }
    if from.is_ipv4() {
        let sum = checksum(&[&message]);
        put(&mut message, 2, sum);
        wrap(from, to, ICMP, &message)
    } else {
        seal(from, to, ICMP_V6, &mut message, 2);
        wrap(from, to, ICMP_V6, &message)
    }
}

/// Puts the checksum over the pseudo header and the data at `at`, where zeros stand now.
fn seal(from: IpAddr, to: IpAddr, protocol: u8, data: &mut [u8], at: usize) {
    let length = u32::try_from(data.len()).unwrap_or(u32::MAX).to_be_bytes();
    let tail = [0, 0, 0, protocol];
    let sum = match (from, to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            checksum(&[&a.octets(), &b.octets(), &length, &tail, data])
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            checksum(&[&a.octets(), &b.octets(), &length, &tail, data])
        }
        _ => 0,
    };
    put(data, at, sum);
}

/// Puts the IP header before a payload.
pub(super) fn wrap(from: IpAddr, to: IpAddr, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let short = |n: usize| u16::try_from(n).unwrap_or(u16::MAX).to_be_bytes();
    let mut packet = Vec::with_capacity(40 + payload.len());
    match (from, to) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            packet.extend([0x45, 0]);
            packet.extend(short(20 + payload.len()));
            // No identification, "do not fragment", a time to live of 64.
            packet.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
            packet.extend(a.octets());
            packet.extend(b.octets());
            let sum = checksum(&[&packet]);
            put(&mut packet, 10, sum);
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            packet.extend([0x60, 0, 0, 0]);
            packet.extend(short(payload.len()));
            packet.extend([protocol, 64]);
            packet.extend(a.octets());
            packet.extend(b.octets());
        }
        _ => {}
    }
    packet.extend_from_slice(payload);
    packet
}

/// The internet checksum (RFC 1071) over parts that each have an even length, the last excepted.
pub(super) fn checksum(parts: &[&[u8]]) -> u16 {
    let mut sum = 0_u64;
    for part in parts {
        let mut words = part.chunks_exact(4);
        for word in &mut words {
            sum += u64::from(u32::from_be_bytes([word[0], word[1], word[2], word[3]]));
        }
        let mut last = [0; 4];
        last[..words.remainder().len()].copy_from_slice(words.remainder());
        sum += u64::from(u32::from_be_bytes(last));
    }
    while sum > 0xffff {
        sum = (sum >> 16) + (sum & 0xffff);
    }
    !u16::try_from(sum).unwrap_or_default()
}

pub(super) fn put(data: &mut [u8], at: usize, value: u16) {
    if let Some(field) = data.get_mut(at..at + 2) {
        field.copy_from_slice(&value.to_be_bytes());
    }
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..at + 2)?.try_into().ok().map(u16::from_be_bytes)
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_checksum_is_that_of_rfc_1071() {
        assert_eq!(checksum(&[&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]]), !0xddf2);
        assert_eq!(checksum(&[&[0x12, 0x34], &[0x56]]), !0x6834);
    }

    #[test]
    fn a_datagram_reads_back_as_it_was_written() {
        for (from, to) in
            [("198.51.100.3:53", "198.51.100.2:4000"), ("[fd00::1]:53", "[fd00::2]:4000")]
        {
            let bytes = udp(at(from), at(to), b"hello").unwrap();
            let packet = Packet::parse(&bytes).unwrap();
            assert_eq!(packet.pair(), Some(Pair { src: at(from), dst: at(to) }));
            assert_eq!(packet.udp_data(), Some(&b"hello"[..]));
            assert_eq!(packet.protocol, UDP);
        }
    }

    #[test]
    fn a_syn_is_answered_by_a_reset_that_acknowledges_it() {
        let syn = [0x0f, 0xa0, 0, 80, 0, 0, 0, 9, 0, 0, 0, 0, 0x50, SYN, 0, 0, 0, 0, 0, 0];
        let bytes = wrap("10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap(), TCP, &syn);
        let reset = Packet::parse(&bytes).unwrap().reset().unwrap();
        let reset = Packet::parse(&reset).unwrap();
        assert_eq!(reset.pair(), Some(Pair { src: at("10.0.0.2:80"), dst: at("10.0.0.1:4000") }));
        assert_eq!(reset.tcp_flags(), Some(TcpFlags(RST | ACK)));
        assert_eq!(u32_at(reset.payload, 8), Some(10));
    }

    #[test]
    fn fragments_and_broken_packets_are_not_read() {
        let whole = udp(at("10.0.0.1:1"), at("10.0.0.2:2"), b"x").unwrap();
        let mut fragment = whole.clone();
        fragment[6] = 0x20;
        assert!(Packet::parse(&fragment).is_none());
        for cut in 0..whole.len() {
            assert!(Packet::parse(&whole[..cut]).is_none(), "cut at {cut}");
        }
        assert!(Packet::parse(&[0xff; 40]).is_none());
    }

    #[test]
    fn any_bytes_at_all_are_read_without_a_panic() {
        let mut state = 7_u64;
        for _ in 0..200_000 {
            let mut bytes = [0_u8; 64];
            for b in &mut bytes {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *b = (state >> 56) as u8;
            }
            bytes[0] = if state & 1 == 0 { 0x45 } else { 0x60 };
            bytes[2] = 0;
            bytes[4] = 0;
            if let Some(packet) = Packet::parse(&bytes[..(state >> 40) as usize % 65]) {
                let _ = (packet.pair(), packet.tcp_flags(), packet.udp_data(), packet.reset());
                packet.unreachable(Unreachable::Host);
            }
        }
    }
}
