//! Who is at the other end of a connection.

use axum::extract::connect_info::Connected;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::serve::IncomingStream;
use tokio::net::{TcpListener, UnixListener};

use atelier_auth::{Caller, Denied, LocalKey};

/// The connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Peer {
    /// A Unix socket, with the kernel's word on who is there; `None` if it would not say.
    Unix { uid: Option<u32> },
    /// TCP.
    Tcp,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::Unix { uid: stream.io().peer_cred().ok().map(|c| c.uid()) }
    }
}

impl Connected<IncomingStream<'_, TcpListener>> for Peer {
    fn connect_info(_: IncomingStream<'_, TcpListener>) -> Self {
        Self::Tcp
    }
}

impl Peer {
    /// Who calls. A browser names the origin of the page that made it call; no page of ours calls
    /// yet, so every origin is a foreign one.
    pub(crate) fn caller(self, headers: &HeaderMap, key: &LocalKey) -> Result<Caller, Denied> {
        if let Some(origin) = headers.get(ORIGIN) {
            return Err(Denied::Origin(String::from_utf8_lossy(origin.as_bytes()).into_owned()));
        }
        match self {
            Self::Unix { uid: Some(uid) } => Ok(Caller::Peer { uid }),
            Self::Unix { uid: None } => Err(Denied::NoKey),
            Self::Tcp => {
                let given = headers.get(AUTHORIZATION).and_then(|v| v.to_str().ok());
                let token = given.and_then(|v| v.strip_prefix("Bearer "));
                token.filter(|t| key.matches(t)).map(|_| Caller::Key).ok_or(Denied::NoKey)
            }
        }
    }
}
