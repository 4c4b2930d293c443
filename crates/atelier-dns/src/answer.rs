//! What each question is answered with. Knows the zone and the rules, no sockets.

use simple_dns::{QTYPE, RCODE, SimpleDnsError, TYPE};

use crate::message::{Header, Query, Reply};
use crate::options::Options;
use crate::reverse::{self, Inside};
use crate::zone::Zone;

/// How a question came, and what that allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    Udp,
    Tcp,
}

/// What is to be done with a message.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Send this.
    Reply(Vec<u8>),
    /// Ask the others.
    Forward,
    /// Say nothing: it is no question at all.
    Silence,
}

/// Everything that answers depend on.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) zone: Zone,
    pub(crate) options: Options,
}

impl Book {
    /// Answers one message. `turn` grows from one to the next, and decides which of several
    /// addresses comes first.
    pub(crate) fn answer(&self, message: &[u8], transport: Transport, turn: usize) -> Outcome {
        let Some(header) = Header::read(message) else { return Outcome::Silence };
        if !header.is_question() {
            return Outcome::Reply(header.failure(RCODE::NotImplemented));
        }
        let question = header.question(message);
        let query = question.as_ref().and_then(|(bytes, edns)| Query::read(bytes, *edns));
        let Some(query) = query else {
            return Outcome::Reply(header.failure(RCODE::FormatError));
        };
        let limit = match transport {
            Transport::Udp => query.udp_limit(),
            Transport::Tcp => usize::from(u16::MAX),
        };
        match self.reply(&query, limit, turn) {
            Ok(Some(reply)) => Outcome::Reply(reply),
            Ok(None) => Outcome::Forward,
            Err(_) => Outcome::Reply(header.failure(RCODE::ServerFailure)),
        }
    }

    fn reply(
        &self,
        query: &Query<'_>,
        limit: usize,
        turn: usize,
    ) -> Result<Option<Vec<u8>>, SimpleDnsError> {
        if query.is_from_the_future() {
            return self.plain(query, RCODE::BADVERS).write(limit).map(Some);
        }
        let copies = matches!(query.kind(), QTYPE::AXFR | QTYPE::IXFR);
        if query.is_internet() && !copies {
            if let Some(apex) = self.zone.apex(&query.name) {
                return self.forward_zone(query, apex, limit, turn).map(Some);
            }
            if let Some(inside) = reverse::inside(&query.name, &self.options.reverse) {
                return self.reverse_zone(query, &inside, limit).map(Some);
            }
            if !self.options.forward.is_empty() {
                return Ok(None);
            }
        }
        self.plain(query, RCODE::Refused).write(limit).map(Some)
    }

    /// A name under one of the suffixes.
    fn forward_zone(
        &self,
        query: &Query<'_>,
        apex: &str,
        limit: usize,
        turn: usize,
    ) -> Result<Vec<u8>, SimpleDnsError> {
        let Some(found) = self.zone.addresses(&query.name, apex) else {
            return self.no_such_name(query, apex).write(limit);
        };
        let mut reply = self.plain(query, RCODE::NoError).authoritative();
        match query.kind() {
            QTYPE::TYPE(TYPE::A) => rotated(&found.v4, turn).for_each(|ip| reply.a(ip)),
            QTYPE::TYPE(TYPE::AAAA) => rotated(&found.v6, turn).for_each(|ip| reply.aaaa(ip)),
            _ => self.about_the_zone(query, apex, &mut reply)?,
        }
        self.finish(reply, apex, limit)
    }

    /// A name under one of the ranges.
    fn reverse_zone(
        &self,
        query: &Query<'_>,
        inside: &Inside<'_>,
        limit: usize,
    ) -> Result<Vec<u8>, SimpleDnsError> {
        let name = inside.address.and_then(|address| self.zone.pointer(address));
        // What is only the beginning of addresses exists, whether or not there are any.
        let exists = inside.possible && (inside.address.is_none() || name.is_some());
        if !exists {
            return self.no_such_name(query, inside.apex).write(limit);
        }
        let mut reply = self.plain(query, RCODE::NoError).authoritative();
        match (query.kind(), &name) {
            (QTYPE::TYPE(TYPE::PTR), Some(name)) => reply.ptr(name),
            _ => self.about_the_zone(query, inside.apex, &mut reply)?,
        }
        self.finish(reply, inside.apex, limit)
    }

    /// What is asked of any name that exists, other than its addresses.
    fn about_the_zone(
        &self,
        query: &Query<'_>,
        apex: &str,
        reply: &mut Reply<'_>,
    ) -> Result<(), SimpleDnsError> {
        match query.kind() {
            QTYPE::ANY => reply.minimal()?,
            QTYPE::TYPE(TYPE::SOA) if query.name == apex => reply.soa(self.zone.serial()),
            QTYPE::TYPE(TYPE::NS) if query.name == apex => reply.ns(),
            _ => {}
        }
        Ok(())
    }

    fn finish<'a>(
        &self,
        mut reply: Reply<'a>,
        apex: &'a str,
        limit: usize,
    ) -> Result<Vec<u8>, SimpleDnsError> {
        if reply.is_empty() {
            reply.nothing(apex, self.zone.serial());
        }
        reply.write(limit)
    }

    fn no_such_name<'a>(&self, query: &Query<'a>, apex: &'a str) -> Reply<'a> {
        let mut reply = self.plain(query, RCODE::NameError).authoritative();
        reply.nothing(apex, self.zone.serial());
        reply
    }

    fn plain<'a>(&self, query: &Query<'a>, code: RCODE) -> Reply<'a> {
        let recursive = !self.options.forward.is_empty();
        Reply::new(query, code, self.options.ttl).recursive(recursive)
    }
}

/// All of them, beginning with another one each time: clients take the first.
fn rotated<T: Copy>(addresses: &[T], turn: usize) -> impl Iterator<Item = T> {
    let (after, before) = addresses.split_at(turn.checked_rem(addresses.len()).unwrap_or(0));
    before.iter().chain(after).copied()
}
