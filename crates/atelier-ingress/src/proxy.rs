//! One request, from its head to the upstream's answer.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Request, Response, StatusCode, Version};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::body::{Held, ProxyBody, RequestBody};
use crate::headers::strip_answer;
use crate::host::{self, Host};
use crate::line::Line;
use crate::options::Options;
use crate::outgoing::Outgoing;
use crate::pool::{Lease, Pool};
use crate::pulse::InFlight;
use crate::send::send;
use crate::tunnel::{Life, Upgrade};
use crate::upstream::{Destination, Failure, Refusal, Upstream, Upstreams};
use crate::wire::Wire;

/// A reverse proxy. One serves any number of listeners.
pub struct Ingress {
    upstreams: Arc<dyn Upstreams>,
    pub(crate) options: Options,
    pool: Arc<Pool>,
    life: Life,
}

/// Who sent a request that came over a listener of somebody else.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The other end of the connection.
    pub address: SocketAddr,
    /// Whether it came over TLS.
    pub tls: bool,
}

/// A request's client, as the proxy sees it.
pub(crate) struct Client {
    pub peer: Peer,
    pub in_flight: Option<InFlight>,
    /// The connection, where it can be reset.
    pub line: Option<Line>,
    pub life: Life,
}

impl Ingress {
    /// A proxy to what `upstreams` finds.
    pub fn new(upstreams: Arc<dyn Upstreams>, options: Options) -> Self {
        let pool = Pool::new(options.upstream_idle, options.idle_per_upstream);
        let life = Life { tracker: TaskTracker::new(), end: CancellationToken::new() };
        Self { upstreams, options, pool, life }
    }

    /// Answers one request of another server, such as the one that serves an API on the same port.
    /// With a [`Line`] in its extensions, the connection is reset when the answer breaks off.
    pub async fn handle<B>(&self, request: Request<B>, peer: Peer) -> Response<ProxyBody>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let body = if body.is_end_stream() {
            RequestBody::empty()
        } else {
            RequestBody::boxed(body.map_err(Into::into).boxed_unsync())
        };
        let line = parts.extensions.get::<Line>().cloned();
        let client = Client { peer, in_flight: None, line, life: self.life.clone() };
        self.pass(&parts, body, client).await
    }

    /// Closes the idle connections to upstreams whose keys begin with `key`, for example because
    /// they were stopped or replaced.
    pub fn forget(&self, key: &str) {
        self.pool.forget(key);
    }

    /// How many connections to upstreams are kept for later requests.
    pub fn idle_connections(&self) -> usize {
        self.pool.count()
    }

    /// Ends the upgraded connections of requests that came through [`Ingress::handle`].
    pub fn end_tunnels(&self) {
        self.life.end.cancel();
    }

    pub(crate) async fn pass(
        &self,
        parts: &Parts,
        body: RequestBody,
        client: Client,
    ) -> Response<ProxyBody> {
        let address = client.peer.address;
        self.try_pass(parts, body, client).await.unwrap_or_else(|refusal| {
            tracing::debug!(%address, status = refusal.status.as_u16(), "refused");
            answer(refusal)
        })
    }

    async fn try_pass(
        &self,
        parts: &Parts,
        body: RequestBody,
        client: Client,
    ) -> Result<Response<ProxyBody>, Refusal> {
        let host = host::of(parts)?;
        let upgrade = Upgrade::of(parts)?;
        let to = destination(parts, &host, client.peer);
        let mut upstream = self.upstreams.find(&to).await?;
        let held =
            Held { guard: upstream.guard.take(), in_flight: client.in_flight, line: client.line };
        let leaves = upstream.leaves.take();
        let sent = {
            let head = Outgoing::new(parts, &host, upgrade.as_ref(), &upstream, &body)?.from(
                client.peer.address,
                client.peer.tls,
                self.options.trust_forwarded,
            );
            let place = (upstream.key.as_str(), &*upstream.dial);
            let sent = send(&self.pool, &self.options, place, body, || head.make());
            match leaves {
                None => sent.await,
                Some(leaves) => tokio::select! {
                    biased;
                    sent = sent => sent,
                    refusal = leaves => return Err(refusal),
                },
            }
        };
        sent.and_then(|(response, wire)| {
            self.finish(response, wire, upgrade, upstream, held, &client.life)
        })
        .map_err(|failure| self.upstreams.closed(&to, &failure))
    }

    fn finish(
        &self,
        response: Response<Incoming>,
        mut wire: Wire,
        upgrade: Option<Upgrade>,
        upstream: Upstream,
        held: Held,
        life: &Life,
    ) -> Result<Response<ProxyBody>, Failure> {
        let switching = response.status() == StatusCode::SWITCHING_PROTOCOLS;
        match upgrade {
            Some(upgrade) if switching => {
                wire.leave();
                return upgrade.join(response, held, life);
            }
            Some(upgrade) => upgrade.declined(response.status())?,
            None if switching => {
                return Err(Failure::Broken("the upstream changed the protocol unasked".into()));
            }
            None => {}
        }
        let (mut parts, body) = response.into_parts();
        strip_answer(&mut parts.headers);
        parts.version = Version::HTTP_11;
        let lease = Lease { pool: self.pool.clone(), key: upstream.key, wire };
        Ok(Response::from_parts(parts, ProxyBody::upstream(body, lease, held)))
    }
}

fn destination<'a>(parts: &'a Parts, host: &'a Host, peer: Peer) -> Destination<'a> {
    Destination {
        host: &host.name,
        port_in_host_header: host.port,
        method: &parts.method,
        headers: &parts.headers,
        path_and_query: parts.uri.path_and_query().map_or("/", |path| path.as_str()),
        peer: peer.address,
        tls: peer.tls,
    }
}

/// A refusal as an answer.
pub(crate) fn answer(refusal: Refusal) -> Response<ProxyBody> {
    let mut response = Response::new(ProxyBody::empty());
    *response.status_mut() = refusal.status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(refusal.content_type));
    *response.body_mut() = ProxyBody::refusal(refusal);
    response
}
