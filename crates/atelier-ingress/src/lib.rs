//! A reverse proxy by host name, and a local certificate authority for its names.
//!
//! Whoever uses it says where a host name leads ([`Upstreams`]); the proxy carries the bytes: HTTP/1.1
//! and HTTP/2 in, HTTP/1.1 out, upgrades included. It knows no sandboxes, no environments and no tokens.

mod body;
mod ca;
mod connection;
mod error;
mod framing;
mod headers;
mod host;
mod key_files;
mod line;
mod options;
mod outgoing;
mod pool;
mod proxy;
mod pulse;
mod relay;
mod send;
mod serve;
mod tls;
mod trust;
mod tunnel;
mod upstream;
mod wire;

pub use body::ProxyBody;
pub use ca::{LocalCa, Names};
pub use error::IngressError;
pub use line::{Line, Resettable};
pub use options::Options;
pub use proxy::{Ingress, Peer};
pub use tls::TlsConfig;
pub use trust::Trust;
pub use upstream::{
    BoxFuture, Destination, Dial, Failure, Refusal, Stream, TcpDial, Upstream, Upstreams,
};
