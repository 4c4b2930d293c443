//! Who is at the other end of a connection.

use std::net::SocketAddr;

use atelier_auth::{Caller, Denied, LocalKey, Tokens};
use atelier_ingress::Line;
use axum::extract::connect_info::Connected;
use axum::http::HeaderMap;
use axum::http::header::{AUTHORIZATION, ORIGIN};
use axum::serve::IncomingStream;
use tokio::net::UnixListener;

use crate::listeners::{InMemory, Tcp};

/// The header of the E2B SDKs.
const API_KEY: &str = "x-api-key";

/// The connection that a request came over.
#[derive(Debug, Clone)]
pub(crate) enum Peer {
    /// A Unix socket, with the kernel's word on who is there; `None` if it would not say.
    Unix { uid: Option<u32> },
    /// TCP.
    Tcp { address: SocketAddr, line: Line },
    /// Our own ingress, for a caller of `api.DOMAIN`.
    Ingress,
}

impl Connected<IncomingStream<'_, UnixListener>> for Peer {
    fn connect_info(stream: IncomingStream<'_, UnixListener>) -> Self {
        Self::Unix { uid: stream.io().peer_cred().ok().map(|c| c.uid()) }
    }
}

impl Connected<IncomingStream<'_, Tcp>> for Peer {
    fn connect_info(stream: IncomingStream<'_, Tcp>) -> Self {
        Self::Tcp { address: *stream.remote_addr(), line: stream.io().line() }
    }
}

impl Connected<IncomingStream<'_, InMemory>> for Peer {
    fn connect_info(_: IncomingStream<'_, InMemory>) -> Self {
        Self::Ingress
    }
}

impl Peer {
    /// Who calls. A browser names the origin of the page that made it call; no page of ours calls
    /// yet, so every origin is a foreign one.
    pub(crate) async fn caller(
        &self,
        headers: &HeaderMap,
        key: &LocalKey,
        tokens: &Tokens,
    ) -> Result<Caller, Denied> {
        if let Some(origin) = headers.get(ORIGIN) {
            return Err(Denied::Origin(String::from_utf8_lossy(origin.as_bytes()).into_owned()));
        }
        match self {
            Self::Unix { uid: Some(uid) } => Ok(Caller::Peer { uid: *uid }),
            Self::Unix { uid: None } => Err(Denied::NoKey),
            Self::Tcp { .. } | Self::Ingress => {
                let shown = secret(headers).ok_or(Denied::NoKey)?;
                if key.matches(shown) { Ok(Caller::Key) } else { tokens.check(shown).await }
            }
        }
    }
}

/// The secret that a caller shows: as a bearer, or as the E2B SDKs send it.
fn secret(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let bearer = text(AUTHORIZATION.as_str()).and_then(|v| v.strip_prefix("Bearer "));
    bearer.or_else(|| text(API_KEY))
}
