//! Questions that are not ours, carried to other servers and back. Off unless there are any.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use simple_dns::RCODE;
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::answer::Transport;
use crate::message::Header;
use crate::options::Options;
use crate::tcp;

/// The largest datagram.
const LARGEST_REPLY: usize = 65_535;

/// The servers that are asked in our stead.
#[derive(Debug)]
pub(crate) struct Forwarder {
    upstreams: Vec<SocketAddr>,
    timeout: Duration,
    places: Semaphore,
    // Keyed with this machine's randomness: ids that can't be guessed from those before.
    ids: RandomState,
    count: AtomicU64,
}

impl Forwarder {
    pub(crate) fn new(options: &Options) -> Self {
        Self {
            upstreams: options.forward.clone(),
            timeout: options.forward_timeout,
            places: Semaphore::new(options.forward_limit.max(1)),
            ids: RandomState::new(),
            count: AtomicU64::new(0),
        }
    }

    /// The first answer that one of them gives, with the asker's own id; a failure when none does.
    /// It is asked the way that we were, so that a reply too long for UDP ends as it should.
    pub(crate) async fn ask(&self, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let header = Header::read(message)?;
        let Ok(_place) = self.places.try_acquire() else {
            return Some(header.failure(RCODE::ServerFailure));
        };
        for upstream in &self.upstreams {
            let mut question = message.to_vec();
            let id = self.id().to_be_bytes();
            question.get_mut(..2)?.copy_from_slice(&id);
            let exchange = async {
                match transport {
                    Transport::Udp => by_udp(*upstream, &question).await,
                    Transport::Tcp => by_tcp(*upstream, &question).await,
                }
            };
            match timeout(self.timeout, exchange).await {
                Ok(Ok(mut reply)) => {
                    reply.get_mut(..2)?.copy_from_slice(message.get(..2)?);
                    return Some(reply);
                }
                Ok(Err(error)) => tracing::debug!(%upstream, %error, "no DNS answer"),
                Err(_) => tracing::debug!(%upstream, "no DNS answer in time"),
            }
        }
        Some(header.failure(RCODE::ServerFailure))
    }

    fn id(&self) -> u16 {
        let hash = self.ids.hash_one(self.count.fetch_add(1, Ordering::Relaxed));
        (hash & 0xffff) as u16
    }
}

/// A socket for each question: its port is one more thing that a forger would have to guess.
async fn by_udp(upstream: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let any: SocketAddr = match upstream {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(any).await?;
    socket.connect(upstream).await?;
    socket.send(question).await?;
    let mut buffer = vec![0; LARGEST_REPLY];
    loop {
        let length = socket.recv(&mut buffer).await?;
        if answers(&buffer[..length], question) {
            buffer.truncate(length);
            return Ok(buffer);
        }
    }
}

async fn by_tcp(upstream: SocketAddr, question: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(upstream).await?;
    tcp::send(&mut stream, question).await?;
    match tcp::receive(&mut stream).await? {
        Some(reply) if answers(&reply, question) => Ok(reply),
        _ => Err(io::Error::other("the answer is to another question")),
    }
}

/// Whether a message is the reply to a question: same id, same question, letter by letter. A
/// failure may come without the question.
fn answers(reply: &[u8], question: &[u8]) -> bool {
    const HEADER: usize = 12;
    let (Some(head), Some(asked)) = (reply.get(..HEADER), question.get(..HEADER)) else {
        return false;
    };
    let same_id = head[..2] == asked[..2];
    let is_reply = head[2] & 0x80 != 0;
    let failed = head[3] & 0xf != 0 && head[4..6] == [0, 0];
    let same_question = || {
        let length = question_length(&question[HEADER..]);
        reply.get(HEADER..HEADER + length) == question.get(HEADER..HEADER + length)
    };
    same_id && is_reply && (failed || same_question())
}

/// The bytes of the first question: labels up to the empty one, type and class.
fn question_length(mut rest: &[u8]) -> usize {
    let mut length = 0;
    while let Some((&label, after)) = rest.split_first() {
        length += 1 + usize::from(label);
        if label == 0 {
            break;
        }
        rest = after.get(usize::from(label)..).unwrap_or_default();
    }
    length + 4
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUESTION: &[u8] = b"\x12\x34\x01\x00\x00\x01\0\0\0\0\0\0\x03wWw\x02io\0\0\x01\0\x01";

    fn reply() -> Vec<u8> {
        let mut reply = QUESTION.to_vec();
        reply[2] |= 0x80;
        reply
    }

    #[test]
    fn a_reply_must_repeat_id_and_question() {
        assert!(answers(&reply(), QUESTION));
        assert!(!answers(QUESTION, QUESTION), "a question is no reply");
        for at in [0, 1, 13, 17, 20, 22] {
            let mut forged = reply();
            forged[at] ^= 0x20;
            assert!(!answers(&forged, QUESTION), "byte {at}");
        }
        assert!(!answers(&reply()[..20], QUESTION));
    }

    #[test]
    fn a_failure_may_leave_the_question_out() {
        let mut failure = reply()[..12].to_vec();
        failure[5] = 0;
        assert!(!answers(&failure, QUESTION));
        failure[3] = 2;
        assert!(answers(&failure, QUESTION));
    }
}
