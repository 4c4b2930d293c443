//! Segments that got lost on the way to the sandbox, sent again at once.
//!
//! A TUN device loses nothing as a rule, an Ethernet link does: `runsc` of 2022 has room for 32
//! frames, and a virtual machine that is paused takes none. smoltcp waits for a second then, and
//! twice as long for the next segment (RFC 6298 has it so for the internet). Here copies of what is
//! under way are kept beside it. The link keeps the order of its frames, so a segment that was sent
//! before one which arrived is lost, and nobody has to wait to be sure: the idea is that of
//! "Improving TCP/IP Performance over Wireless Networks" (Balakrishnan et al., 1995) and of RACK
//! (RFC 8985). What is sent again, and when, is all that is decided here.

use std::collections::VecDeque;
use std::time::Duration;

use tokio::time::Instant;

use super::packet::{self, Packet};

/// How long nothing may be heard of a segment that is under way. Then it is sent again, since the
/// last ones of a burst may be those that are lost.
const PATIENCE: Duration = Duration::from_millis(50);
/// The most that the wait grows to while nothing is heard.
const MAX_PATIENCE: Duration = Duration::from_millis(800);
/// A TCP option (RFC 2018).
const SACK: u8 = 5;

/// What is under way to the sandbox on one connection.
#[derive(Default)]
pub(super) struct Recovery {
    /// In the order of their numbers, without gaps.
    segments: VecDeque<Segment>,
    /// How many transmissions there were.
    sent: u64,
    /// The latest transmission that is known to have arrived.
    arrived: u64,
    /// When to send the first of them again if nothing is heard, and how long that is.
    deadline: Option<Instant>,
    patience: Duration,
}

struct Segment {
    first: u32,
    /// Exclusive.
    end: u32,
    /// Which transmission its last one was.
    turn: u64,
    arrived: bool,
    packet: Vec<u8>,
}

impl Recovery {
    /// Notes a packet that smoltcp has sent.
    pub(super) fn sent(&mut self, bytes: &[u8]) {
        let Some((first, end)) = Packet::parse(bytes).and_then(|packet| span(&packet)) else {
            return;
        };
        self.sent += 1;
        let turn = self.sent;
        if self.segments.back().is_some_and(|last| before(first, last.end)) {
            // It sends again by itself what it has sent already, maybe cut otherwise.
            for known in &mut self.segments {
                if before(known.first, end) && before(first, known.end) {
                    known.turn = turn;
                }
            }
            return;
        }
        if self.segments.is_empty() {
            self.patience = PATIENCE;
            self.deadline = Some(Instant::now() + PATIENCE);
        }
        let packet = bytes.to_vec();
        self.segments.push_back(Segment { first, end, turn, arrived: false, packet });
    }

    /// Takes what the sandbox says has arrived. Returns the packet to be sent again, if one is
    /// lost: one for each packet of the sandbox, which has made room for as much.
    pub(super) fn heard(&mut self, packet: &Packet<'_>) -> Option<&[u8]> {
        if self.segments.is_empty() {
            return None;
        }
        let ack = packet.tcp_ack()?;
        let mut news = false;
        while let Some(known) = self.segments.pop_front_if(|s| !before(ack, s.end)) {
            self.arrived = self.arrived.max(known.turn);
            news = true;
        }
        for (from, to) in sacked(packet) {
            let covered = |s: &&mut Segment| !before(s.first, from) && !before(to, s.end);
            for known in self.segments.iter_mut().filter(|s| !s.arrived).filter(covered) {
                known.arrived = true;
                self.arrived = self.arrived.max(known.turn);
                news = true;
            }
        }
        if news {
            self.patience = PATIENCE;
            let waits = !self.segments.is_empty();
            self.deadline = waits.then(|| Instant::now() + PATIENCE);
        }
        let arrived = self.arrived;
        let lost = self.segments.iter_mut().find(|s| !s.arrived && s.turn < arrived)?;
        self.sent += 1;
        lost.turn = self.sent;
        Some(&lost.packet)
    }

    /// When to look at [`Self::overdue`] again, if ever.
    pub(super) fn next(&self) -> Option<Instant> {
        self.deadline
    }

    /// The packet that has been waited for long enough, to be sent again.
    pub(super) fn overdue(&mut self) -> Option<&[u8]> {
        let now = Instant::now();
        if self.deadline? > now {
            return None;
        }
        self.patience = (self.patience * 2).min(MAX_PATIENCE);
        self.deadline = Some(now + self.patience);
        self.sent += 1;
        let first = self.segments.iter_mut().find(|s| !s.arrived)?;
        first.turn = self.sent;
        Some(&first.packet)
    }
}

/// Whether one number comes before another (RFC 9293 section 3.4).
fn before(a: u32, b: u32) -> bool {
    (a.wrapping_sub(b) as i32) < 0
}

/// The numbers that a segment takes. `None` when it takes none, as a mere acknowledgment.
fn span(packet: &Packet<'_>) -> Option<(u32, u32)> {
    let (first, length) = (packet::u32_at(packet.payload, 4)?, packet.tcp_span()?);
    (length > 0).then(|| (first, first.wrapping_add(length)))
}

/// The ranges of a selective acknowledgment.
fn sacked<'a>(packet: &Packet<'a>) -> impl Iterator<Item = (u32, u32)> + use<'a> {
    let header = packet.payload.get(12).map_or(0, |byte| usize::from(byte >> 4) * 4);
    let mut options = packet.payload.get(20..header).unwrap_or_default();
    let mut ranges: &[u8] = &[];
    while let Some(kind) = options.first() {
        let length = match kind {
            0 => break,
            1 => 1,
            _ => options.get(1).map_or(0, |length| usize::from(*length)),
        };
        if length == 0 || length > options.len() {
            break;
        }
        if *kind == SACK {
            ranges = options.get(2..length).unwrap_or_default();
        }
        options = options.get(length..).unwrap_or_default();
    }
    let number = |bytes: &[u8]| packet::u32_at(bytes, 0).unwrap_or_default();
    ranges.chunks_exact(8).map(move |range| (number(range), number(&range[4..])))
}

#[cfg(test)]
mod tests {
    use super::*;

    const GATEWAY: &str = "198.51.100.1";
    const SANDBOX: &str = "198.51.100.2";

    fn tcp(from: &str, to: &str, seq: u32, ack: u32, options: &[u8], data: usize) -> Vec<u8> {
        let mut segment = vec![0, 1, 0, 2];
        segment.extend(seq.to_be_bytes());
        segment.extend(ack.to_be_bytes());
        segment.extend([((20 + options.len()) as u8 / 4) << 4, 0x10, 0xff, 0xff, 0, 0, 0, 0]);
        segment.extend(options);
        segment.resize(segment.len() + data, 7);
        packet::wrap(from.parse().unwrap(), to.parse().unwrap(), packet::TCP, &segment)
    }

    /// Ten segments of 100 bytes, the first of which has the number that is given.
    fn ten(first: u32) -> Recovery {
        let mut recovery = Recovery::default();
        for n in 0..10 {
            let seq = first.wrapping_add(n * 100);
            recovery.sent(&tcp(GATEWAY, SANDBOX, seq, 1, &[], 100));
        }
        recovery
    }

    /// The number of the segment that is sent again when this is heard.
    fn hear(recovery: &mut Recovery, ack: u32, sacks: &[(u32, u32)]) -> Option<u32> {
        let mut options = vec![1, 1, SACK, 2 + 8 * sacks.len() as u8];
        options.extend(sacks.iter().flat_map(|(a, b)| [a.to_be_bytes(), b.to_be_bytes()].concat()));
        let options = if sacks.is_empty() { &[][..] } else { &options };
        let heard = tcp(SANDBOX, GATEWAY, 1, ack, options, 0);
        let again = recovery.heard(&Packet::parse(&heard).unwrap())?;
        packet::u32_at(Packet::parse(again).unwrap().payload, 4)
    }

    #[test]
    fn what_arrives_in_order_is_forgotten() {
        let mut recovery = ten(u32::MAX - 450);
        for n in 1..=10_u32 {
            assert_eq!(hear(&mut recovery, (u32::MAX - 450).wrapping_add(n * 100), &[]), None);
        }
        assert!(recovery.segments.is_empty() && recovery.next().is_none());
    }

    #[test]
    fn a_segment_before_one_that_arrived_is_sent_again_once() {
        let mut recovery = ten(1000);
        assert_eq!(hear(&mut recovery, 1100, &[(1200, 1300)]), Some(1100));
        assert_eq!(hear(&mut recovery, 1100, &[(1200, 1400)]), None, "it is under way");
        assert_eq!(hear(&mut recovery, 1100, &[(1200, 1400), (1600, 1700)]), Some(1400));
        assert_eq!(hear(&mut recovery, 1100, &[(1200, 1400), (1600, 1800)]), Some(1500));
        assert_eq!(hear(&mut recovery, 1100, &[(1200, 1500)]), Some(1100), "lost once more");
        assert_eq!(hear(&mut recovery, 2000, &[]), None);
        assert!(recovery.segments.is_empty());
    }

    #[test]
    fn what_smoltcp_sends_again_is_under_way_again() {
        let mut recovery = ten(1000);
        recovery.sent(&tcp(GATEWAY, SANDBOX, 1000, 1, &[], 300));
        assert_eq!(recovery.segments.len(), 10);
        assert_eq!(hear(&mut recovery, 1000, &[(1300, 1400)]), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_segment_is_sent_again_when_nothing_is_heard() {
        let mut recovery = ten(1000);
        assert_eq!(hear(&mut recovery, 1900, &[]), None);
        assert!(recovery.overdue().is_none());
        for _ in 0..3 {
            tokio::time::advance(recovery.next().unwrap() - Instant::now()).await;
            let again = Packet::parse(recovery.overdue().unwrap()).unwrap();
            assert_eq!(packet::u32_at(again.payload, 4), Some(1900));
            assert!(recovery.overdue().is_none(), "not at once again");
        }
        assert_eq!(hear(&mut recovery, 2000, &[]), None);
        assert!(recovery.next().is_none());
    }

    #[test]
    fn mere_acknowledgments_are_not_kept() {
        let mut recovery = Recovery::default();
        recovery.sent(&tcp(GATEWAY, SANDBOX, 1000, 1, &[], 0));
        assert!(recovery.segments.is_empty());
    }
}
