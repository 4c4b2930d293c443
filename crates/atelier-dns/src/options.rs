//! How a server listens and what it does beyond its own names.

use std::net::SocketAddr;
use std::time::Duration;

use crate::error::{Error, Result};
use crate::reverse::Range;

/// What a server is told besides its zone.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen, UDP and TCP each. Port 0 takes a free one, the same for both. Addresses of
    /// this machine only, never `0.0.0.0` or `[::]`: replies must come from the address asked.
    pub listen: Vec<SocketAddr>,
    /// How many seconds others may keep an answer. 0: they ask each time, so that a changed address
    /// is seen at once.
    pub ttl: u32,
    /// The ranges whose addresses are answered for (PTR), with the names of records that lead back.
    pub reverse: Vec<Range>,
    /// Who is asked, in this order, for all that is not ours. None: such questions are refused.
    pub forward: Vec<SocketAddr>,
    /// How long each of them may take.
    pub forward_timeout: Duration,
    /// How many questions may wait for them at once.
    pub forward_limit: usize,
    /// How many TCP connections may be open at once, for each address.
    pub tcp_limit: usize,
    /// How long a TCP connection may be silent.
    pub tcp_idle: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            ttl: 0,
            reverse: Vec::new(),
            forward: Vec::new(),
            forward_timeout: Duration::from_secs(2),
            forward_limit: 512,
            tcp_limit: 128,
            tcp_idle: Duration::from_secs(10),
        }
    }
}

impl Options {
    pub(crate) fn check(&self) -> Result<()> {
        let refuse = |why: String| Err(Error::Options(why));
        if self.listen.is_empty() {
            return refuse("no address to listen on is given".to_owned());
        }
        for address in &self.listen {
            if address.ip().is_unspecified() {
                return refuse(format!("{address} is no single address: name each one"));
            }
            if self.forward.contains(address) {
                return refuse(format!("{address} would forward to itself"));
            }
        }
        Ok(())
    }
}
