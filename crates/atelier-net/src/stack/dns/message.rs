//! DNS messages: the sandbox's questions, our own replies, and what a reply says of a name's
//! addresses. Reading and writing the wire format is simple-dns's.

use std::net::IpAddr;

use simple_dns::rdata::{A, AAAA, OPT, RData};
use simple_dns::{
    CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
};

/// The TTL in seconds of the answers that are ours.
pub(super) const OWN_TTL: u32 = 60;
/// The largest UDP reply that we ask for (RFC 6891): no fragments on any usual link.
const LARGEST_UDP: u16 = 1232;

/// One question of the sandbox.
pub(super) struct Query {
    id: u16,
    name: String,
    question: Question<'static>,
    /// The reply's size that the sandbox can take by UDP, when it said so.
    edns: Option<u16>,
}

impl Query {
    /// Reads a message. `None` when nothing can be answered, a failure when it is no question that
    /// we can take.
    pub(super) fn parse(bytes: &[u8]) -> Option<Result<Self, Vec<u8>>> {
        let id = u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?);
        let is_reply = bytes.get(2)? & 0x80 != 0;
        if is_reply {
            return None;
        }
        let Ok(packet) = Packet::parse(bytes) else {
            return Some(Err(failure(id, None, RCODE::FormatError)?));
        };
        let edns = packet.opt().map(|opt| opt.udp_packet_size.clamp(512, LARGEST_UDP));
        let standard = packet.opcode() == simple_dns::OPCODE::StandardQuery;
        let [question] = packet.questions.as_slice() else {
            return Some(Err(failure(id, None, RCODE::FormatError)?));
        };
        let question = question.clone().into_owned();
        match text(&question.qname) {
            Some(name) if standard => Some(Ok(Self { id, name, question, edns })),
            Some(_) => Some(Err(failure(id, Some(&question), RCODE::NotImplemented)?)),
            None => Some(Err(failure(id, Some(&question), RCODE::Refused)?)),
        }
    }

    /// The name asked for, in lower case without a final dot.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Whether the question is for IPv4 or IPv6 addresses.
    pub(super) fn asks_addresses(&self) -> bool {
        matches!(self.question.qtype, QTYPE::TYPE(TYPE::A | TYPE::AAAA) | QTYPE::ANY)
    }

    /// A reply that says no more than a code.
    pub(super) fn failure(&self, code: RCODE) -> Option<Vec<u8>> {
        failure(self.id, Some(&self.question), code)
    }

    /// A reply with those of our addresses that are of the kind asked for.
    pub(super) fn addresses(&self, addresses: &[IpAddr]) -> Option<Vec<u8>> {
        let mut reply = reply(self.id, Some(&self.question), RCODE::NoError);
        for ip in addresses {
            let data = match (ip, self.question.qtype) {
                (IpAddr::V4(ip), QTYPE::TYPE(TYPE::A) | QTYPE::ANY) => RData::A(A::from(*ip)),
                (IpAddr::V6(ip), QTYPE::TYPE(TYPE::AAAA) | QTYPE::ANY) => {
                    RData::AAAA(AAAA::from(*ip))
                }
                _ => continue,
            };
            let name = self.question.qname.clone();
            reply.answers.push(ResourceRecord::new(name, CLASS::IN, OWN_TTL, data));
        }
        reply.build_bytes_vec_compressed().ok()
    }

    /// The same question as one of our own, with nothing else of the sandbox's message in it.
    pub(super) fn forwarded(&self, id: u16) -> Option<Vec<u8>> {
        let mut query = Packet::new_query(id);
        query.set_flags(PacketFlag::RECURSION_DESIRED);
        query.questions.push(self.question.clone());
        *query.opt_mut() = self.edns.map(|udp_packet_size| OPT {
            opt_codes: Vec::new(),
            udp_packet_size,
            version: 0,
        });
        query.build_bytes_vec().ok()
    }

    /// Takes an upstream's reply to what [`Query::forwarded`] made with `id`: the reply for the
    /// sandbox, and the addresses of the name with their TTLs. `None` when it answers another
    /// question.
    pub(super) fn accept(&self, id: u16, mut bytes: Vec<u8>) -> Option<Reply> {
        let found = {
            let packet = Packet::parse(&bytes).ok()?;
            let [question] = packet.questions.as_slice() else { return None };
            let ours = packet.id() == id
                && packet.has_flags(PacketFlag::RESPONSE)
                && question.qtype == self.question.qtype
                && text(&question.qname).as_deref() == Some(self.name.as_str())
                && question.qclass == QCLASS::CLASS(CLASS::IN);
            if !ours {
                return None;
            }
            addresses_of(&self.name, &packet.answers)
        };
        bytes.get_mut(..2)?.copy_from_slice(&self.id.to_be_bytes());
        Some((bytes, found))
    }
}

/// A question for a name's addresses, as a sandbox would put it.
pub(super) fn question(name: &str, v6: bool) -> Option<Vec<u8>> {
    let kind = if v6 { TYPE::AAAA } else { TYPE::A };
    let mut query = Packet::new_query(0);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let name = Name::new(name).ok()?;
    query.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    query.build_bytes_vec().ok()
}

/// A reply and the addresses in it with their TTLs in seconds.
pub(super) type Reply = (Vec<u8>, Vec<(IpAddr, u32)>);

/// The addresses that answers give to `name`, through the aliases that lead away from it.
fn addresses_of(name: &str, answers: &[ResourceRecord<'_>]) -> Vec<(IpAddr, u32)> {
    let mut names = vec![name.to_owned()];
    for _ in 0..answers.len().min(16) {
        for record in answers {
            if let (RData::CNAME(alias), Some(owner)) = (&record.rdata, text(&record.name))
                && names.contains(&owner)
                && let Some(alias) = text(&alias.0)
                && !names.contains(&alias)
            {
                names.push(alias);
            }
        }
    }
    let of_name = |record: &&ResourceRecord<'_>| {
        text(&record.name).is_some_and(|owner| names.contains(&owner))
    };
    let address = |record: &ResourceRecord<'_>| match &record.rdata {
        RData::A(a) => Some((IpAddr::V4(a.address.into()), record.ttl)),
        RData::AAAA(a) => Some((IpAddr::V6(a.address.into()), record.ttl)),
        _ => None,
    };
    answers.iter().filter(of_name).filter_map(address).collect()
}

/// A name as text in lower case. `None` when a label has bytes which text would blur: a dot inside
/// a label would make another name of it.
fn text(name: &Name<'_>) -> Option<String> {
    let mut out = String::new();
    for label in name.as_bytes() {
        if !label.iter().all(|b| b.is_ascii_graphic() && *b != b'.') {
            return None;
        }
        if !out.is_empty() {
            out.push('.');
        }
        out.push_str(&String::from_utf8_lossy(label).to_ascii_lowercase());
    }
    Some(out)
}

fn reply<'a>(id: u16, question: Option<&Question<'a>>, code: RCODE) -> Packet<'a> {
    let mut reply = Packet::new_reply(id);
    reply.set_flags(PacketFlag::RECURSION_DESIRED | PacketFlag::RECURSION_AVAILABLE);
    *reply.rcode_mut() = code;
    reply.questions.extend(question.cloned());
    reply
}

fn failure(id: u16, question: Option<&Question<'_>>, code: RCODE) -> Option<Vec<u8>> {
    reply(id, question, code).build_bytes_vec().ok()
}

#[cfg(test)]
mod tests {
    use simple_dns::rdata::CNAME;

    use super::*;

    fn query(name: &str) -> Query {
        let mut packet = Packet::new_query(7);
        let name = Name::new_unchecked(name);
        packet.questions.push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
        Query::parse(&packet.build_bytes_vec().unwrap()).unwrap().ok().unwrap()
    }

    fn record(name: &'static str, data: RData<'static>) -> ResourceRecord<'static> {
        ResourceRecord::new(Name::new_unchecked(name), CLASS::IN, 30, data)
    }

    fn a(last: u8) -> RData<'static> {
        RData::A(A::from(std::net::Ipv4Addr::new(203, 0, 113, last)))
    }

    fn reply_to(query: &Query, id: u16, answers: Vec<ResourceRecord<'static>>) -> Vec<u8> {
        let mut reply = reply(id, Some(&query.question), RCODE::NoError);
        reply.answers = answers;
        reply.build_bytes_vec_compressed().unwrap()
    }

    #[test]
    fn aliases_lead_to_addresses_and_strangers_in_the_answer_do_not() {
        let query = query("Www.Example.com");
        assert_eq!(query.name(), "www.example.com");
        let alias = RData::CNAME(CNAME(Name::new_unchecked("edge.cdn.net")));
        let bytes = reply_to(
            &query,
            99,
            vec![
                record("edge.CDN.net", a(1)),
                record("www.example.com", alias),
                record("bank.example.org", a(2)),
            ],
        );
        let (bytes, found) = query.accept(99, bytes).unwrap();
        assert_eq!(found, [("203.0.113.1".parse().unwrap(), 30)]);
        assert_eq!(Packet::parse(&bytes).unwrap().id(), 7);
    }

    #[test]
    fn a_reply_to_something_else_is_not_taken() {
        let asked = query("a.example.com");
        assert!(asked.accept(99, reply_to(&asked, 98, vec![])).is_none(), "another id");
        let other = query("b.example.com");
        assert!(asked.accept(99, reply_to(&other, 99, vec![])).is_none(), "another name");
        assert!(asked.accept(99, asked.forwarded(99).unwrap()).is_none(), "no reply at all");
        assert!(asked.accept(99, vec![0; 5]).is_none());
    }

    #[test]
    fn a_label_with_a_dot_in_it_is_refused() {
        let mut bytes = vec![0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        bytes.extend(b"\x0cevil.example\x03com\x00\x00\x01\x00\x01");
        let Some(Err(reply)) = Query::parse(&bytes) else { panic!("it was taken") };
        assert_eq!(Packet::parse(&reply).unwrap().rcode(), RCODE::Refused);
    }

    #[test]
    fn what_is_no_question_gets_no_answer_or_a_failure() {
        assert!(Query::parse(&[]).is_none() && Query::parse(&[0, 1, 0x80, 0]).is_none());
        let Some(Err(reply)) = Query::parse(&[0, 9, 1, 0, 0, 9]) else { panic!("it was taken") };
        assert_eq!(reply.get(..2), Some(&[0, 9][..]));
        assert_eq!(Packet::parse(&reply).unwrap().rcode(), RCODE::FormatError);
    }
}
