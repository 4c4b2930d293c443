//! DNS messages: what a question asks, and replies of each kind. Reading and writing the wire
//! format is simple-dns's, but for EDNS; which reply is the right one is decided elsewhere.

use std::net::{Ipv4Addr, Ipv6Addr};

use simple_dns::rdata::{A, AAAA, HINFO, NS, PTR, RData, SOA};
use simple_dns::{
    CLASS, CharacterString, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE,
    ResourceRecord, SimpleDnsError,
};

use crate::edns::{self, Edns, HEADER};

/// The largest UDP reply to who does not say what it can take (RFC 1035, 4.2.1).
const SMALLEST_UDP: u16 = 512;
/// The largest that we send by UDP: no fragments on any usual link (RFC 9715).
const LARGEST_UDP: u16 = 1232;
/// Who serves the zones: the one name that leads to this machine everywhere.
const SERVER: &str = "localhost";

/// The first bytes of a message, which can be read when the rest can't.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    bytes: [u8; HEADER],
}

impl Header {
    /// `None` for what is too short, and for replies: an answer to those could go on for ever.
    pub(crate) fn read(message: &[u8]) -> Option<Self> {
        let bytes: [u8; HEADER] = message.get(..HEADER)?.try_into().ok()?;
        let is_reply = bytes[2] & 0x80 != 0;
        (!is_reply).then_some(Self { bytes })
    }

    /// Whether it is a question, as opposed to NOTIFY, UPDATE and the like.
    pub(crate) fn is_question(self) -> bool {
        (self.bytes[2] >> 3) & 0xf == 0
    }

    /// One question, and no answers with it. Checked before the rest is read.
    fn has_one_question(self) -> bool {
        let count = |at: usize| u16::from_be_bytes([self.bytes[at], self.bytes[at + 1]]);
        count(4) == 1 && count(6) == 0 && count(8) == 0
    }

    /// The message up to the end of its question, and what it says by EDNS. `None`: it breaks the
    /// format.
    pub(crate) fn question(self, message: &[u8]) -> Option<(Vec<u8>, Option<Edns>)> {
        if !self.has_one_question() {
            return None;
        }
        let (end, edns) = edns::split(message).ok()?;
        let mut question = message.get(..end)?.to_vec();
        question.get_mut(10..HEADER)?.fill(0);
        // A reserved bit, to be ignored (RFC 1035, 4.1.1), for which simple-dns would refuse it.
        *question.get_mut(3)? &= !0x40;
        Some((question, edns))
    }

    /// A reply that says no more than a code; operation and "recursion desired" are as they came.
    pub(crate) fn failure(self, code: RCODE) -> Vec<u8> {
        let mut reply = vec![0; HEADER];
        reply[..2].copy_from_slice(&self.bytes[..2]);
        reply[2] = 0x80 | (self.bytes[2] & 0x79);
        reply[3] = code as u8 & 0xf;
        reply
    }
}

/// One question.
#[derive(Debug)]
pub(crate) struct Query<'a> {
    packet: Packet<'a>,
    edns: Option<Edns>,
    /// The name asked for, in lower case without final dot. A byte that none of our names has
    /// stands for all that could be mistaken for another name.
    pub(crate) name: String,
}

impl<'a> Query<'a> {
    /// Reads what [`Header::question`] has taken out of a message. `None`: it can't be read.
    pub(crate) fn read(question: &'a [u8], edns: Option<Edns>) -> Option<Self> {
        let packet = Packet::parse(question).ok()?;
        let name = text(&packet.questions.first()?.qname);
        Some(Self { packet, edns, name })
    }

    pub(crate) fn kind(&self) -> QTYPE {
        self.packet.questions.first().map_or(QTYPE::ANY, |q| q.qtype)
    }

    pub(crate) fn is_internet(&self) -> bool {
        self.packet.questions.iter().all(|q| q.qclass == QCLASS::CLASS(CLASS::IN))
    }

    /// Whether the asker speaks a version of EDNS that does not exist yet.
    pub(crate) fn is_from_the_future(&self) -> bool {
        self.edns.is_some_and(|edns| edns.version > 0)
    }

    /// How many bytes the asker takes by UDP.
    pub(crate) fn udp_limit(&self) -> usize {
        let wanted = self.edns.map_or(SMALLEST_UDP, |edns| edns.size);
        usize::from(wanted.clamp(SMALLEST_UDP, LARGEST_UDP))
    }

    fn question(&self) -> Option<&Question<'a>> {
        self.packet.questions.first()
    }
}

/// A reply in the making.
pub(crate) struct Reply<'a> {
    packet: Packet<'a>,
    edns: Option<Edns>,
    code: RCODE,
    owner: Name<'a>,
    ttl: u32,
}

impl<'a> Reply<'a> {
    pub(crate) fn new(query: &Query<'a>, code: RCODE, ttl: u32) -> Self {
        let mut packet = Packet::new_reply(query.packet.id());
        if query.packet.has_flags(PacketFlag::RECURSION_DESIRED) {
            packet.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        *packet.rcode_mut() = code;
        // The question goes back letter by letter, so its upper and lower case too.
        packet.questions.extend(query.question().cloned());
        let owner = query.question().map_or(Name::new_unchecked(""), |q| q.qname.clone());
        Self { packet, edns: query.edns, code, owner, ttl }
    }

    /// From who knows, and not from hearsay.
    pub(crate) fn authoritative(mut self) -> Self {
        self.packet.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        self
    }

    /// Others may be asked through us.
    pub(crate) fn recursive(mut self, available: bool) -> Self {
        if available {
            self.packet.set_flags(PacketFlag::RECURSION_AVAILABLE);
        }
        self
    }

    /// Whether nothing answers the question yet.
    pub(crate) fn is_empty(&self) -> bool {
        self.packet.answers.is_empty()
    }

    pub(crate) fn a(&mut self, address: Ipv4Addr) {
        self.answer(RData::A(A { address: address.to_bits() }));
    }

    pub(crate) fn aaaa(&mut self, address: Ipv6Addr) {
        self.answer(RData::AAAA(AAAA { address: address.to_bits() }));
    }

    pub(crate) fn ptr(&mut self, name: &'a str) {
        self.answer(RData::PTR(PTR(Name::new_unchecked(name))));
    }

    pub(crate) fn ns(&mut self) {
        self.answer(RData::NS(NS(Name::new_unchecked(SERVER))));
    }

    pub(crate) fn soa(&mut self, serial: u32) {
        let data = soa(serial, self.ttl);
        self.answer(data);
    }

    /// What "all you have" is answered with (RFC 8482, 4.2).
    pub(crate) fn minimal(&mut self) -> Result<(), SimpleDnsError> {
        let (cpu, os) = (CharacterString::new(b"RFC8482")?, CharacterString::new(b"")?);
        self.answer(RData::HINFO(HINFO { cpu, os }));
        Ok(())
    }

    /// Says for how long "there is no such thing" holds, and in which zone (RFC 2308).
    pub(crate) fn nothing(&mut self, apex: &'a str, serial: u32) {
        let data = soa(serial, self.ttl);
        let record = ResourceRecord::new(Name::new_unchecked(apex), CLASS::IN, self.ttl, data);
        self.packet.name_servers.push(record);
    }

    /// The message, of at most `limit` bytes; what does not fit is to be asked for by TCP.
    pub(crate) fn write(mut self, limit: usize) -> Result<Vec<u8>, SimpleDnsError> {
        let more = self.edns.map_or(0, |_| edns::LENGTH);
        let mut message = self.packet.build_bytes_vec_compressed()?;
        if message.len() + more > limit {
            self.packet.answers.clear();
            self.packet.name_servers.clear();
            self.packet.set_flags(PacketFlag::TRUNCATION);
            message = self.packet.build_bytes_vec_compressed()?;
        }
        if let Some(asker) = self.edns {
            edns::append(&mut message, asker, LARGEST_UDP, self.code as u16);
        }
        Ok(message)
    }

    fn answer(&mut self, data: RData<'a>) {
        let record = ResourceRecord::new(self.owner.clone(), CLASS::IN, self.ttl, data);
        self.packet.answers.push(record);
    }
}

/// Nobody copies the zone, so the times for that are the usual ones. "Nothing" holds for as long
/// as an answer does.
fn soa<'a>(serial: u32, minimum: u32) -> RData<'a> {
    RData::SOA(SOA {
        mname: Name::new_unchecked(SERVER),
        rname: Name::new_unchecked("nobody.invalid"),
        serial,
        refresh: 3600,
        retry: 600,
        expire: 86_400,
        minimum,
    })
}

fn text(name: &Name<'_>) -> String {
    let mut out = String::with_capacity(64);
    for label in name.as_bytes() {
        if !out.is_empty() {
            out.push('.');
        }
        for byte in label {
            let plain = byte.is_ascii_graphic() && *byte != b'.';
            out.push(if plain { char::from(byte.to_ascii_lowercase()) } else { '\u{1}' });
        }
    }
    out
}
