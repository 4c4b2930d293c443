//! What may be set about the proxy. The defaults are for a machine on the open network.

use std::time::Duration;

/// Limits and times of an [`crate::Ingress`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The most connections of clients at once; more wait in the kernel's queue.
    pub connections: usize,
    /// The largest head of a request or of an answer, in bytes.
    pub head_size: usize,
    /// How long a client may take to send a head, and for the TLS handshake.
    pub head_time: Duration,
    /// How long a client's connection may stay without a request.
    pub client_idle: Duration,
    /// How long a connection to an upstream is kept for the next request. It is shorter than the five
    /// seconds after which Node and uvicorn close theirs, so that no request meets a closing one.
    pub upstream_idle: Duration,
    /// The most idle connections kept for one upstream.
    pub idle_per_upstream: usize,
    /// How long connecting to an upstream may take.
    pub dial_time: Duration,
    /// How long an upstream may take until its answer begins. Without a value: as long as it likes.
    pub first_byte: Option<Duration>,
    /// How long requests may go on after a stop.
    pub grace: Duration,
    /// Whether clients are proxies of ours, whose `X-Forwarded-*` is continued instead of replaced.
    pub trust_forwarded: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            connections: 16_384,
            head_size: 64 << 10,
            head_time: Duration::from_secs(10),
            client_idle: Duration::from_secs(75),
            upstream_idle: Duration::from_secs(4),
            idle_per_upstream: 64,
            dial_time: Duration::from_secs(10),
            first_byte: None,
            grace: Duration::from_secs(5),
            trust_forwarded: false,
        }
    }
}
