//! Connections that leave HTTP: an upgrade of HTTP/1.1, or an extended CONNECT of HTTP/2 (RFC 8441), as an
//! upgrade towards the upstream. What is said afterwards is not looked at.

use base64::Engine;
use hyper::ext::Protocol;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, UPGRADE};
use hyper::http::request::Parts;
use hyper::http::response;
use hyper::upgrade::OnUpgrade;
use hyper::{Method, Response, StatusCode, Version};
use hyper_util::rt::TokioIo;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{Held, ProxyBody};
use crate::headers::{has_token, strip_answer};
use crate::upstream::{Failure, Refusal};

const KEY: HeaderName = HeaderName::from_static("sec-websocket-key");
const ACCEPT: HeaderName = HeaderName::from_static("sec-websocket-accept");
/// Kept small, since a tunnel can be idle for days.
const BUFFER: usize = 16 << 10;

/// What a client wants to change to.
pub(crate) struct Upgrade {
    protocol: HeaderValue,
    /// The key of a WebSocket that has none because it came over HTTP/2.
    key: Option<HeaderValue>,
    http2: bool,
    client: OnUpgrade,
}

impl Upgrade {
    /// The upgrade that a request asks for.
    pub(crate) fn of(parts: &Parts) -> Result<Option<Self>, Refusal> {
        let client = parts.extensions.get::<OnUpgrade>().cloned();
        if parts.method == Method::CONNECT {
            let protocol = parts.extensions.get::<Protocol>().map(Protocol::as_str);
            let (Some(protocol), Some(client)) = (protocol, client) else {
                return Err(Refusal::text(
                    StatusCode::METHOD_NOT_ALLOWED,
                    "this is no forward proxy: CONNECT goes nowhere",
                ));
            };
            return Self::extended(protocol, client).map(Some);
        }
        let asked = parts.version == Version::HTTP_11
            && has_token(&parts.headers, &CONNECTION, "upgrade")
            // The other version of HTTP would take the proxy out of the way of later requests.
            && !has_token(&parts.headers, &UPGRADE, "h2c");
        let protocol = parts.headers.get(UPGRADE).filter(|_| asked).cloned();
        Ok(protocol.zip(client).map(|(protocol, client)| Self {
            protocol,
            key: None,
            http2: false,
            client,
        }))
    }

    fn extended(protocol: &str, client: OnUpgrade) -> Result<Self, Refusal> {
        let value = HeaderValue::from_str(protocol).ok().filter(|_| protocol != "h2c");
        let Some(value) = value else {
            return Err(Refusal::text(StatusCode::NOT_IMPLEMENTED, "no such protocol"));
        };
        let key = protocol.eq_ignore_ascii_case("websocket").then(random_key).transpose()?;
        Ok(Self { protocol: value, key, http2: true, client })
    }

    /// The headers that ask the upstream for the same.
    pub(crate) fn ask(&self, headers: &mut HeaderMap) {
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        headers.insert(UPGRADE, self.protocol.clone());
        if let Some(key) = &self.key {
            headers.insert(KEY, key.clone());
        }
    }

    /// Whether the upstream has changed to what was asked for.
    fn agrees(&self, answer: &HeaderMap) -> bool {
        let asked = self.protocol.to_str().unwrap_or_default();
        let mut asked = asked.split(',').map(str::trim);
        asked.any(|protocol| has_token(answer, &UPGRADE, protocol))
    }

    /// The answer for a client whose upstream agreed; the bytes are joined once the client has it.
    pub(crate) fn join(
        self,
        mut answer: Response<hyper::body::Incoming>,
        held: Held,
        life: &Life,
    ) -> Result<Response<ProxyBody>, Failure> {
        if !self.agrees(answer.headers()) {
            return Err(Failure::Broken("the upstream changed to another protocol".into()));
        }
        let upstream = hyper::upgrade::on(&mut answer);
        if let Some(in_flight) = held.in_flight.as_ref().filter(|_| !self.http2) {
            in_flight.leaves_http();
        }
        let end = life.end.clone();
        life.tracker.spawn(async move {
            tokio::select! {
                () = carry(self.client, upstream) => {}
                () = end.cancelled() => {}
            }
            drop(held);
        });
        let (parts, _) = answer.into_parts();
        Ok(Response::from_parts(switched(parts, self.http2), ProxyBody::empty()))
    }

    /// An answer that is no upgrade. Success of a CONNECT would mean that there is a tunnel.
    pub(crate) fn declined(&self, status: StatusCode) -> Result<(), Failure> {
        if self.http2 && status.is_success() {
            return Err(Failure::Broken("the upstream did not change the protocol".into()));
        }
        Ok(())
    }
}

/// Who waits for tunnels, and what ends them.
#[derive(Clone)]
pub(crate) struct Life {
    pub tracker: TaskTracker,
    pub end: CancellationToken,
}

fn switched(mut parts: response::Parts, http2: bool) -> response::Parts {
    let protocol = parts.headers.get(UPGRADE).cloned();
    strip_answer(&mut parts.headers);
    parts.headers.remove(hyper::header::CONTENT_LENGTH);
    if http2 {
        parts.status = StatusCode::OK;
        parts.headers.remove(ACCEPT);
    } else {
        parts.headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        if let Some(protocol) = protocol {
            parts.headers.insert(UPGRADE, protocol);
        }
    }
    parts.extensions.clear();
    parts
}

async fn carry(client: OnUpgrade, upstream: OnUpgrade) {
    let (client, upstream) = match tokio::try_join!(client, upstream) {
        Ok(both) => both,
        Err(error) => {
            tracing::debug!(%error, "an upgrade did not come about");
            return;
        }
    };
    let (mut client, mut upstream) = (TokioIo::new(client), TokioIo::new(upstream));
    let ended =
        tokio::io::copy_bidirectional_with_sizes(&mut client, &mut upstream, BUFFER, BUFFER).await;
    if let Err(error) = ended {
        tracing::debug!(%error, "an upgraded connection ended");
    }
}

fn random_key() -> Result<HeaderValue, Refusal> {
    let mut bytes = [0; 16];
    let text = ring::rand::SecureRandom::fill(&ring::rand::SystemRandom::new(), &mut bytes)
        .map(|()| base64::engine::general_purpose::STANDARD.encode(bytes));
    text.ok()
        .and_then(|text| HeaderValue::try_from(text).ok())
        .ok_or_else(|| Refusal::text(StatusCode::INTERNAL_SERVER_ERROR, "no random numbers"))
}
