//! Ethernet around the packets, where the link has it: the header of 14 bytes, and the answers to
//! whoever asks for a hardware address. To the sandbox every address but its own is at the same
//! one, which is ours. No addresses are handed out here: DHCP and router advertisements would be a
//! second place that says what the sandbox's addresses are.

use std::cell::Cell;
use std::net::IpAddr;

use super::packet::{self, Packet};
use crate::Addresses;

/// The length of a frame's header.
pub(super) const HEADER: usize = 14;
const IPV4: [u8; 2] = [0x08, 0x00];
const IPV6: [u8; 2] = [0x86, 0xdd];
const ARP: [u8; 2] = [0x08, 0x06];
/// An ARP message for IPv4 over Ethernet (RFC 826): its first six bytes, and its length.
const ARP_KIND: [u8; 6] = [0, 1, 0x08, 0x00, 6, 4];
const ARP_LENGTH: usize = 28;
/// Message types (RFC 4861).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

type Mac = [u8; 6];

/// What the link knows of its two ends.
pub(super) struct Ethernet {
    /// The sandbox's hardware address, as its last frame said.
    sandbox: Cell<Mac>,
}

/// What a frame was.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// It carries an IP packet.
    Packet,
    /// A question about a hardware address; this payload of ARP answers it.
    Question([u8; ARP_LENGTH]),
    /// Nothing that concerns us.
    Other,
}

impl Ethernet {
    pub(super) fn new() -> Self {
        Self { sandbox: Cell::new(Addresses::SANDBOX_MAC) }
    }

    /// Reads a frame: its header, and what came after it.
    pub(super) fn read(&self, header: &[u8; HEADER], payload: &[u8]) -> Frame {
        let (to, from) = (mac(header, 0), mac(header, 6));
        // A group has the lowest bit of its first byte set; broadcast is one.
        let group = |mac: Mac| mac[0] & 1 != 0;
        if (to != Addresses::GATEWAY_MAC && !group(to))
            || group(from)
            || from == Addresses::GATEWAY_MAC
        {
            return Frame::Other;
        }
        self.sandbox.set(from);
        match [header[12], header[13]] {
            IPV4 | IPV6 => Frame::Packet,
            ARP => answer_arp(payload).map_or(Frame::Other, Frame::Question),
            _ => Frame::Other,
        }
    }

    /// The header of a frame that carries this packet to the sandbox.
    pub(super) fn header(&self, packet: &[u8]) -> [u8; HEADER] {
        let v6 = packet.first().is_some_and(|byte| byte >> 4 == 6);
        self.header_for(if v6 { IPV6 } else { IPV4 })
    }

    /// The header of a frame that carries an ARP message.
    pub(super) fn arp_header(&self) -> [u8; HEADER] {
        self.header_for(ARP)
    }

    fn header_for(&self, kind: [u8; 2]) -> [u8; HEADER] {
        let mut header = [0; HEADER];
        header[..6].copy_from_slice(&self.sandbox.get());
        header[6..12].copy_from_slice(&Addresses::GATEWAY_MAC);
        header[12..].copy_from_slice(&kind);
        header
    }
}

fn mac(header: &[u8; HEADER], at: usize) -> Mac {
    let mut mac = [0; 6];
    mac.copy_from_slice(&header[at..at + 6]);
    mac
}

/// The reply to an ARP request. A probe (RFC 5227), whose sender has no address yet, gets none:
/// an answer would say that the address is taken.
fn answer_arp(message: &[u8]) -> Option<[u8; ARP_LENGTH]> {
    let message: &[u8; ARP_LENGTH] = message.first_chunk()?;
    let (sender, target) = (&message[8..18], &message[24..28]);
    let asks = message[..6] == ARP_KIND && message[6..8] == [0, 1];
    if !asks || sender[6..] == [0; 4] || sender[6..] == *target {
        return None;
    }
    if target == Addresses::SANDBOX_V4.octets() {
        return None;
    }
    let mut reply = [0; ARP_LENGTH];
    reply[..6].copy_from_slice(&ARP_KIND);
    reply[7] = 2;
    reply[8..14].copy_from_slice(&Addresses::GATEWAY_MAC);
    reply[14..18].copy_from_slice(target);
    reply[18..28].copy_from_slice(sender);
    Some(reply)
}

/// The advertisement that answers a neighbour solicitation (RFC 4861 section 7.2). One without a
/// sender looks for others with its own address, and finds none.
pub(super) fn answer_solicitation(packet: &Packet<'_>) -> Option<Vec<u8>> {
    let message = packet.payload;
    if packet.protocol != packet::ICMP_V6 || message.first() != Some(&SOLICITATION) {
        return None;
    }
    let target: [u8; 16] = message.get(8..24)?.try_into().ok()?;
    let target = IpAddr::from(target);
    if packet.src.is_unspecified() || Addresses::is_sandbox(target) || target.is_multicast() {
        return None;
    }
    // Router, solicited, override; then the target, and its address as an option.
    let mut reply = vec![ADVERTISEMENT, 0, 0, 0, 0xe0, 0, 0, 0];
    reply.extend_from_slice(message.get(8..24)?);
    reply.extend([2, 1]);
    reply.extend(Addresses::GATEWAY_MAC);
    let mut reply = packet::icmp(target, packet.src, reply);
    // The hop limit proves that it comes from the link itself.
    *reply.get_mut(7)? = 255;
    Some(reply)
}

#[cfg(test)]
mod tests {
    use super::*;

    const GUEST: Mac = [2, 0, 0, 0, 0, 9];

    fn request(sender: [u8; 4], target: [u8; 4]) -> Vec<u8> {
        [&ARP_KIND[..], &[0, 1], &GUEST, &sender, &[0; 6], &target].concat()
    }

    fn header(to: Mac, from: Mac, kind: [u8; 2]) -> [u8; HEADER] {
        [&to[..], &from, &kind].concat().try_into().unwrap()
    }

    #[test]
    fn every_address_but_the_sandboxs_own_is_at_the_gateway() {
        let own = Addresses::SANDBOX_V4.octets();
        let reply = answer_arp(&request(own, [198, 51, 100, 77])).unwrap();
        assert_eq!(reply[6..8], [0, 2]);
        assert_eq!(reply[8..14], Addresses::GATEWAY_MAC);
        assert_eq!(reply[14..18], [198, 51, 100, 77]);
        assert_eq!(reply[18..24], GUEST);
        assert_eq!(reply[24..28], own);
        assert!(answer_arp(&request([198, 51, 100, 9], own)).is_none(), "its own");
        assert!(answer_arp(&request(own, own)).is_none(), "an announcement");
        assert!(answer_arp(&request([0; 4], [198, 51, 100, 1])).is_none(), "a probe");
        assert!(answer_arp(&request(own, [198, 51, 100, 1])[..27]).is_none(), "cut short");
    }

    #[test]
    fn the_sandboxs_hardware_address_is_learned_from_its_frames() {
        let link = Ethernet::new();
        assert_eq!(link.header(&[0x45])[..6], Addresses::SANDBOX_MAC);
        assert_eq!(link.read(&header(Addresses::GATEWAY_MAC, GUEST, IPV4), &[]), Frame::Packet);
        assert_eq!(link.header(&[0x45]), header(GUEST, Addresses::GATEWAY_MAC, IPV4));
        assert_eq!(link.header(&[0x60])[12..], IPV6);
    }

    #[test]
    fn frames_for_others_and_from_nobody_are_not_ours() {
        let link = Ethernet::new();
        let other = |to, from, kind| link.read(&header(to, from, kind), &[]) == Frame::Other;
        assert!(other([2, 0, 0, 0, 0, 5], GUEST, IPV4), "for somebody else");
        assert!(other(Addresses::GATEWAY_MAC, [0xff; 6], IPV4), "from a group");
        assert!(other([0xff; 6], Addresses::GATEWAY_MAC, IPV4), "our own, back");
        assert!(other([0xff; 6], GUEST, [0x88, 0xcc]), "another protocol");
        assert_eq!(link.read(&header([0x33, 0x33, 0, 0, 0, 1], GUEST, IPV6), &[]), Frame::Packet);
    }

    #[test]
    fn a_solicitation_is_answered_and_a_search_for_duplicates_is_not() {
        let ask = |from: &str, target: &str| {
            let mut message = vec![SOLICITATION, 0, 0, 0, 0, 0, 0, 0];
            message.extend(target.parse::<std::net::Ipv6Addr>().unwrap().octets());
            let to = "ff02::1:ff00:1".parse().unwrap();
            let bytes = packet::icmp(from.parse().unwrap(), to, message);
            answer_solicitation(&Packet::parse(&bytes).unwrap())
        };
        let reply = ask("fd61:7465:6c69::2", "fd61:7465:6c69::1").unwrap();
        assert_eq!(reply[7], 255, "the hop limit");
        let reply = Packet::parse(&reply).unwrap();
        assert_eq!(reply.src.to_string(), "fd61:7465:6c69::1");
        assert_eq!(reply.dst.to_string(), "fd61:7465:6c69::2");
        assert_eq!(reply.payload[0], ADVERTISEMENT);
        assert_eq!(reply.payload[26..32], Addresses::GATEWAY_MAC);
        assert!(ask("::", "fd61:7465:6c69::9").is_none());
        assert!(ask("fe80::1", "fd61:7465:6c69::2").is_none(), "the sandbox's own");
    }
}
