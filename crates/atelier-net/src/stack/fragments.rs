//! Fragments: a packet longer than the link's MTU is cut, one that comes in pieces is put together.
//! Only datagrams need it, and only on links with a small MTU: TCP's segments fit.

use std::cell::{Cell, RefCell};
use std::net::IpAddr;
use std::time::{Duration, Instant};

use super::packet;

/// How long the pieces of a packet may take to arrive.
const PATIENCE: Duration = Duration::from_secs(10);
/// Packets that may be incomplete at once: with 64 KiB each, 4 MiB.
const MAX_INCOMPLETE: usize = 64;
/// The longest payload of an IP packet.
const LARGEST: usize = 65_535;
const V4_HEADER: usize = 20;
const V6_HEADER: usize = 40;
const V6_FRAGMENT: usize = 8;

/// The packets of which pieces are there.
#[derive(Default)]
pub(super) struct Fragments {
    incomplete: RefCell<Vec<Incomplete>>,
    /// Names the pieces of what we cut.
    next: Cell<u32>,
}

/// Whose piece it is: the two ends, the protocol, and the sender's number for the packet.
type Key = (IpAddr, IpAddr, u8, u32);

struct Incomplete {
    key: Key,
    since: Instant,
    /// The payload so far; pieces are put where they belong.
    data: Vec<u8>,
    /// First and last byte (exclusive) of each piece.
    pieces: Vec<(usize, usize)>,
    /// The payload's length, when its last piece is there.
    length: Option<usize>,
}

/// One piece of a packet.
struct Piece<'a> {
    key: Key,
    offset: usize,
    more: bool,
    data: &'a [u8],
}

impl Fragments {
    /// Takes what is no whole packet. When it was the last missing piece of one, returns that.
    pub(super) fn take(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let piece = Piece::parse(bytes)?;
        let now = Instant::now();
        let mut incomplete = self.incomplete.borrow_mut();
        incomplete.retain(|i| now.duration_since(i.since) < PATIENCE);
        let at = match incomplete.iter().position(|i| i.key == piece.key) {
            Some(at) => at,
            None => {
                if incomplete.len() >= MAX_INCOMPLETE {
                    incomplete.remove(0);
                }
                incomplete.push(Incomplete::new(piece.key, now));
                incomplete.len() - 1
            }
        };
        let known = incomplete.get_mut(at)?;
        if !known.add(&piece) {
            // Pieces that overlap are a trick (RFC 5722).
            incomplete.remove(at);
            return None;
        }
        if !known.is_whole() {
            return None;
        }
        let Incomplete { key: (src, dst, protocol, _), data, .. } = incomplete.remove(at);
        Some(packet::wrap(src, dst, protocol, &data))
    }

    /// Cuts one of our own packets into pieces of at most `mtu` bytes, headers included.
    pub(super) fn cut(&self, bytes: &[u8], mtu: usize) -> Vec<Vec<u8>> {
        let number = self.next.replace(self.next.get().wrapping_add(1));
        let v6 = bytes.first().is_some_and(|byte| byte >> 4 == 6);
        let header = if v6 { V6_HEADER } else { V4_HEADER };
        let Some((head, payload)) = bytes.split_at_checked(header) else { return Vec::new() };
        let room = mtu.saturating_sub(header + if v6 { V6_FRAGMENT } else { 0 }) / 8 * 8;
        if room == 0 {
            return Vec::new();
        }
        let last = payload.len().saturating_sub(1) / room;
        let piece = |(n, data): (usize, &[u8])| {
            let (offset, more) = (n * room, n != last);
            if v6 {
                piece_v6(head, data, offset, more, number)
            } else {
                piece_v4(head, data, offset, more, number)
            }
        };
        payload.chunks(room).enumerate().map(piece).collect()
    }
}

impl Incomplete {
    fn new(key: Key, since: Instant) -> Self {
        Self { key, since, data: Vec::new(), pieces: Vec::new(), length: None }
    }

    /// Whether the piece fits to those that are there.
    fn add(&mut self, piece: &Piece<'_>) -> bool {
        let (start, end) = (piece.offset, piece.offset + piece.data.len());
        let overlaps = self.pieces.iter().any(|&(s, e)| start < e && s < end);
        let beyond = end > LARGEST || self.length.is_some_and(|length| end > length);
        let uneven = piece.more && (piece.data.is_empty() || !piece.data.len().is_multiple_of(8));
        let second_end = !piece.more && (self.length.is_some() || self.data.len() > end);
        if overlaps || beyond || uneven || second_end {
            return false;
        }
        if self.data.len() < end {
            self.data.resize(end, 0);
        }
        if let Some(place) = self.data.get_mut(start..end) {
            place.copy_from_slice(piece.data);
        }
        self.pieces.push((start, end));
        if !piece.more {
            self.length = Some(end);
        }
        true
    }

    fn is_whole(&self) -> bool {
        let have: usize = self.pieces.iter().map(|(start, end)| end - start).sum();
        self.length == Some(have)
    }
}

impl<'a> Piece<'a> {
    fn parse(bytes: &'a [u8]) -> Option<Self> {
        match bytes.first()? >> 4 {
            4 => Self::parse_v4(bytes),
            6 => Self::parse_v6(bytes),
            _ => None,
        }
    }

    fn parse_v4(bytes: &'a [u8]) -> Option<Self> {
        let header = usize::from(bytes[0] & 0x0f) * 4;
        let total = usize::from(packet::u16_at(bytes, 2)?);
        let field = packet::u16_at(bytes, 6)?;
        let address = |at: usize| -> Option<[u8; 4]> { bytes.get(at..at + 4)?.try_into().ok() };
        let number = u32::from(packet::u16_at(bytes, 4)?);
        if header < V4_HEADER || field & 0x3fff == 0 {
            return None;
        }
        Some(Self {
            key: (address(12)?.into(), address(16)?.into(), *bytes.get(9)?, number),
            offset: usize::from(field & 0x1fff) * 8,
            more: field & 0x2000 != 0,
            data: bytes.get(header..total)?,
        })
    }

    fn parse_v6(bytes: &'a [u8]) -> Option<Self> {
        let length = usize::from(packet::u16_at(bytes, 4)?);
        let address = |at: usize| -> Option<[u8; 16]> { bytes.get(at..at + 16)?.try_into().ok() };
        if *bytes.get(6)? != packet::FRAGMENT {
            return None;
        }
        let field = packet::u16_at(bytes, V6_HEADER + 2)?;
        let (src, dst, protocol) = (address(8)?, address(24)?, *bytes.get(V6_HEADER)?);
        Some(Self {
            key: (src.into(), dst.into(), protocol, packet::u32_at(bytes, V6_HEADER + 4)?),
            offset: usize::from(field & 0xfff8),
            more: field & 1 != 0,
            data: bytes.get(V6_HEADER + V6_FRAGMENT..V6_HEADER + length)?,
        })
    }
}

fn piece_v4(head: &[u8], data: &[u8], offset: usize, more: bool, number: u32) -> Vec<u8> {
    let mut piece = [head, data].concat();
    let field = (offset / 8) as u16 | if more { 0x2000 } else { 0 };
    packet::put(&mut piece, 2, (V4_HEADER + data.len()) as u16);
    packet::put(&mut piece, 4, number as u16);
    packet::put(&mut piece, 6, field);
    packet::put(&mut piece, 10, 0);
    let sum = packet::checksum(&[piece.get(..V4_HEADER).unwrap_or_default()]);
    packet::put(&mut piece, 10, sum);
    piece
}

fn piece_v6(head: &[u8], data: &[u8], offset: usize, more: bool, number: u32) -> Vec<u8> {
    let mut piece = Vec::with_capacity(V6_HEADER + V6_FRAGMENT + data.len());
    piece.extend_from_slice(head);
    let protocol = std::mem::replace(&mut piece[6], packet::FRAGMENT);
    packet::put(&mut piece, 4, (V6_FRAGMENT + data.len()) as u16);
    piece.extend([protocol, 0]);
    piece.extend((offset as u16 | u16::from(more)).to_be_bytes());
    piece.extend(number.to_be_bytes());
    piece.extend_from_slice(data);
    piece
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stack::packet::Packet;

    const ENDS: [(&str, &str); 2] =
        [("203.0.113.1:53", "198.51.100.2:4000"), ("[2001:db8::1]:53", "[fd61:7465:6c69::2]:4000")];

    fn datagram((from, to): (&str, &str), size: usize) -> Vec<u8> {
        let data: Vec<u8> = (0..size).map(|n| (n * 7) as u8).collect();
        packet::udp(from.parse().unwrap(), to.parse().unwrap(), &data).unwrap()
    }

    #[test]
    fn what_is_cut_is_put_together_again_in_any_order() {
        for ends in ENDS {
            let whole = datagram(ends, 65_507);
            let fragments = Fragments::default();
            let mut pieces = fragments.cut(&whole, 1500);
            assert!(pieces.len() > 40 && pieces.iter().all(|p| p.len() <= 1500));
            assert!(pieces.iter().all(|p| Packet::parse(p).is_none_or(|p| p.protocol == 44)));
            pieces.reverse();
            let (last, others) = pieces.split_last().unwrap();
            assert!(others.iter().all(|p| fragments.take(p).is_none()));
            let again = fragments.take(last).unwrap();
            let (again, whole) = (Packet::parse(&again).unwrap(), Packet::parse(&whole).unwrap());
            assert_eq!(again.pair(), whole.pair());
            assert!(again.udp_data() == whole.udp_data());
            assert!(fragments.incomplete.borrow().is_empty());
        }
    }

    #[test]
    fn pieces_that_overlap_end_their_packet() {
        let fragments = Fragments::default();
        let pieces = fragments.cut(&datagram(ENDS[0], 4000), 1500);
        assert!(fragments.take(&pieces[0]).is_none());
        assert!(fragments.take(&pieces[0]).is_none(), "the same again");
        assert!(fragments.incomplete.borrow().is_empty());
        assert!(pieces[1..].iter().all(|p| fragments.take(p).is_none()), "the first is missing");
    }

    #[test]
    fn packets_that_are_never_finished_take_little_room() {
        let fragments = Fragments::default();
        for _ in 0..10 * MAX_INCOMPLETE {
            let pieces = fragments.cut(&datagram(ENDS[0], 2000), 1500);
            assert!(fragments.take(&pieces[0]).is_none());
        }
        assert_eq!(fragments.incomplete.borrow().len(), MAX_INCOMPLETE);
    }

    #[test]
    fn any_bytes_at_all_are_taken_without_a_panic() {
        let fragments = Fragments::default();
        let mut state = 7_u64;
        for _ in 0..100_000 {
            let mut bytes = [0_u8; 96];
            for b in &mut bytes {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                *b = (state >> 56) as u8;
            }
            bytes[0] = if state & 1 == 0 { 0x45 } else { 0x60 };
            bytes[2] = 0;
            bytes[4] = 0;
            if state & 2 == 0 {
                bytes[6] = packet::FRAGMENT;
            }
            let _ = fragments.take(&bytes[..(state >> 40) as usize % 97]);
        }
    }
}
