//! Where host names lead: `PORT-ID.DOMAIN` and the E2B headers to a sandbox, `ENV.PROJECT.localhost`
//! and `PORT-ENV.PROJECT.localhost` to an environment, `api.DOMAIN` to the API. Any other name
//! reaches nothing.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use atelier_api::Problem;
use atelier_ingress::{
    BoxFuture, Destination, Dial, Failure, Refusal, Stream, Upstream, Upstreams,
};
use atelier_run::{Lookup, Workshop};
use atelier_sandbox::{Entrance, Fleet, FleetEvent, Guest};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use serde_json::json;
use tokio::sync::broadcast::{self, error::RecvError};
use uuid::Uuid;

use crate::far::FarHosts;

/// The port of the guest itself, in the E2B protocol's numbering.
pub(crate) const GUEST_PORT: u16 = 49983;
/// How long a service may take to accept a connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const SANDBOX_ID: &str = "e2b-sandbox-id";
const SANDBOX_PORT: &str = "e2b-sandbox-port";
const TRAFFIC_TOKEN: &str = "e2b-traffic-access-token";

/// Finds sandboxes and environments.
pub(crate) struct Places {
    pub(crate) workshop: Arc<Workshop>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) far: Arc<FarHosts>,
    /// The domain of sandboxes.
    pub(crate) domain: String,
    /// Where the API answers for `api.DOMAIN`.
    pub(crate) api: tokio::sync::mpsc::Sender<tokio::io::DuplexStream>,
}

/// What a request is for.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Sandbox { id: String, port: u16 },
    Environment { env: String, project: String, port: Option<u16> },
    Api,
}

/// The sandbox that the E2B headers name.
pub(crate) fn named_sandbox(headers: &HeaderMap) -> Option<(String, u16)> {
    let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
    let port = text(SANDBOX_PORT).map_or(Some(GUEST_PORT), |port| port.parse().ok())?;
    Some((text(SANDBOX_ID)?.to_owned(), port))
}

/// What a host name stands for.
fn place(host: &str, domain: &str) -> Option<Place> {
    if let Some(label) = host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')) {
        if label == "api" {
            return Some(Place::Api);
        }
        if let Some((port, id)) = label.split_once('-')
            && let Ok(port) = port.parse()
            && !id.contains('.')
        {
            return Some(Place::Sandbox { id: id.to_owned(), port });
        }
    }
    let (left, project) = host.strip_suffix(".localhost")?.split_once('.')?;
    let (port, env) = match left.split_once('-') {
        Some((port, env)) if !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()) => {
            (Some(port.parse().ok()?), env)
        }
        _ => (None, left),
    };
    Some(Place::Environment { env: env.to_owned(), project: project.to_owned(), port })
}

impl Upstreams for Places {
    fn find<'a>(&'a self, to: &'a Destination<'_>) -> BoxFuture<'a, Result<Upstream, Refusal>> {
        Box::pin(async move {
            if let Some(found) = self.workshop.service_names().lookup(to.host, None) {
                return service(to.host, found);
            }
            if let Some((key, dial)) = self.far.lookup(to.host) {
                return Ok(Upstream::new(key, dial));
            }
            // The headers count only where the name says nothing by itself.
            let by_name = place(to.host, &self.domain);
            let by_header = || {
                let own = to.host == self.domain || to.host.parse::<std::net::IpAddr>().is_ok();
                let own = own || to.host == "localhost" || to.host.starts_with("sandbox.");
                let (id, port) = named_sandbox(to.headers).filter(|_| own)?;
                Some(Place::Sandbox { id, port })
            };
            match by_name.or_else(by_header) {
                Some(Place::Sandbox { id, port }) => self.sandbox(&id, port, to).await,
                Some(Place::Environment { env, project, port }) => {
                    self.environment(&env, &project, port).await
                }
                Some(Place::Api) => Ok(Upstream::new("api", Arc::new(ToApi(self.api.clone())))),
                None => Err(Refusal::text(
                    StatusCode::NOT_FOUND,
                    format!("nothing here is called {}", to.host),
                )),
            }
        })
    }

    fn closed(&self, to: &Destination<'_>, failure: &Failure) -> Refusal {
        let sandbox = match place(to.host, &self.domain) {
            Some(Place::Sandbox { id, port }) => Some((id, port)),
            Some(_) => None,
            None => named_sandbox(to.headers),
        };
        match sandbox {
            Some((id, port)) => no_answer(&id, port, failure),
            None => Refusal::text(StatusCode::BAD_GATEWAY, format!("{}: {failure}", to.host)),
        }
    }
}

impl Places {
    async fn sandbox(
        &self,
        id: &str,
        port: u16,
        to: &Destination<'_>,
    ) -> Result<Upstream, Refusal> {
        // From before it is entered, so that no pause is missed.
        let events = self.fleet.events();
        if port == GUEST_PORT {
            let entrance = self.fleet.enter(id, false).await.map_err(|p| unreachable(id, &p))?;
            let leaves = leaves(self.fleet.clone(), entrance.id, events);
            let mut upstream = guest(entrance, to)?;
            upstream.leaves = Some(leaves);
            return Ok(upstream);
        }
        // Before it is entered: whoever may not reach it must not wake it either.
        let token = self.fleet.traffic_token(id).map_err(|p| unreachable(id, &p))?;
        let shown = to.headers.get(TRAFFIC_TOKEN).map(HeaderValue::as_bytes);
        if let Some(token) = &token
            && !shown.is_some_and(|shown| same(shown, token.as_bytes()))
        {
            return Err(no_token(id, shown.is_some()));
        }
        let entrance = self.fleet.enter(id, false).await.map_err(|p| unreachable(id, &p))?;
        let key = format!("{}:{port}", entrance.id);
        let dial = ToGuest { guest: entrance.guest, port: Some(port) };
        let mut upstream = Upstream::new(key, Arc::new(dial));
        upstream.leaves = Some(leaves(self.fleet.clone(), entrance.id, events));
        upstream.host = entrance.request_host.map(|h| h.replace("${PORT}", &port.to_string()));
        for name in [TRAFFIC_TOKEN, SANDBOX_ID, SANDBOX_PORT] {
            upstream.remove_headers.push(HeaderName::from_static(name));
        }
        Ok(upstream)
    }

    async fn environment(
        &self,
        env: &str,
        project: &str,
        port: Option<u16>,
    ) -> Result<Upstream, Refusal> {
        match self.workshop.place(env, project, port).await {
            Ok((guest, port)) => {
                let key = format!("{env}.{project}:{port}");
                Ok(Upstream::new(key, Arc::new(ToGuest { guest, port: Some(port) })))
            }
            Err(problem) => {
                let status = if problem.status == 404 { 404 } else { 502 };
                let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
                Err(Refusal::text(status, format!("atelier: {}", problem.detail)))
            }
        }
    }
}

/// A service of an environment, reached over the engine's network.
fn service(host: &str, found: Result<Lookup, String>) -> Result<Upstream, Refusal> {
    match found {
        Ok(found) => {
            Ok(Upstream::new(found.address.to_string(), Arc::new(ToAddress(found.address))))
        }
        Err(why) => Err(Refusal::text(StatusCode::BAD_GATEWAY, format!("{host}: {why}"))),
    }
}

/// Opens connections to an address.
struct ToAddress(SocketAddr);

impl Dial for ToAddress {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let connecting = tokio::net::TcpStream::connect(self.0);
            let stream = tokio::time::timeout(CONNECT_LIMIT, connecting).await??;
            stream.set_nodelay(true)?;
            Ok(Box::new(stream) as Box<dyn Stream>)
        })
    }
}

/// Ends when a sandbox is paused, and nothing wakes it, while a request waits for its answer.
fn leaves(
    fleet: Arc<Fleet>,
    id: Uuid,
    mut events: broadcast::Receiver<FleetEvent>,
) -> BoxFuture<'static, Refusal> {
    Box::pin(async move {
        loop {
            match events.recv().await {
                Ok((own, "paused")) if own == id => {}
                Ok(_) => continue,
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => std::future::pending().await,
            }
            // One that traffic wakes is woken by this request as well.
            let id = id.simple().to_string();
            if let Err(problem) = fleet.enter(&id, false).await {
                return unreachable(&id, &problem);
            }
        }
    })
}

/// The guest itself checks its own token. What only we may tell it is refused here.
fn guest(entrance: Entrance, to: &Destination<'_>) -> Result<Upstream, Refusal> {
    let path = to.path_and_query.split('?').next().unwrap_or_default();
    if path.trim_end_matches('/') == "/init" {
        return Err(Refusal::json(
            StatusCode::FORBIDDEN,
            json!({ "code": 403, "message": "this path is not served from outside" }).to_string(),
        ));
    }
    let key = format!("{}:guest", entrance.id);
    let mut upstream = Upstream::new(key, Arc::new(ToGuest { guest: entrance.guest, port: None }));
    for name in [TRAFFIC_TOKEN, SANDBOX_ID, SANDBOX_PORT] {
        upstream.remove_headers.push(HeaderName::from_static(name));
    }
    Ok(upstream)
}

/// Opens connections to a guest, or through it to a port inside.
struct ToGuest {
    guest: Guest,
    port: Option<u16>,
}

impl Dial for ToGuest {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let stream: Box<dyn Stream> = match self.port {
                None => Box::new(self.guest.dial().await.map_err(io::Error::other)?),
                Some(port) => Box::new(self.guest.tunnel(port).await.map_err(io::Error::other)?),
            };
            Ok(stream)
        })
    }
}

/// Opens connections to this control plane's own API, in memory.
struct ToApi(tokio::sync::mpsc::Sender<tokio::io::DuplexStream>);

impl Dial for ToApi {
    fn dial(&self) -> BoxFuture<'_, io::Result<Box<dyn Stream>>> {
        Box::pin(async move {
            let (ours, theirs) = tokio::io::duplex(64 << 10);
            self.0.send(theirs).await.map_err(io::Error::other)?;
            Ok(Box::new(ours) as Box<dyn Stream>)
        })
    }
}

/// The words that the E2B SDKs look for when a sandbox is not there.
fn unreachable(id: &str, problem: &Problem) -> Refusal {
    let message = match problem.code.as_str() {
        "sandbox.not_found" | "sandbox.not_running" => "The sandbox was not found".to_owned(),
        _ => problem.detail.clone(),
    };
    let body = json!({ "sandboxId": id, "message": message, "code": 502 });
    Refusal::json(StatusCode::BAD_GATEWAY, body.to_string())
}

/// What is told of a port that cannot be reached, and of one that takes connections and does not
/// answer: these are two faults to look for.
fn no_answer(id: &str, port: u16, failure: &Failure) -> Refusal {
    let message = match failure {
        Failure::Broken(_) => format!("The sandbox is running and its port is open, but {failure}"),
        Failure::Unreachable(_) | Failure::TimedOut(_) => {
            "The sandbox is running but port is not open".to_owned()
        }
    };
    let body = json!({ "sandboxId": id, "message": message, "port": port, "code": 502 });
    Refusal::json(StatusCode::BAD_GATEWAY, body.to_string())
}

fn no_token(id: &str, shown: bool) -> Refusal {
    let what = if shown { "invalid" } else { "missing" };
    let message = format!("Sandbox traffic access token is {what}: send it as {TRAFFIC_TOKEN}");
    let body = json!({ "sandboxId": id, "message": message, "code": 403 });
    Refusal::json(StatusCode::FORBIDDEN, body.to_string())
}

/// Compares without telling by its time how much was right.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |all, (a, b)| all | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(env: &str, project: &str, port: Option<u16>) -> Option<Place> {
        Some(Place::Environment { env: env.into(), project: project.into(), port })
    }

    #[test]
    fn host_names_name_a_port_and_an_environment_or_a_sandbox() {
        let on_localhost = |host| place(host, "localhost");
        assert_eq!(on_localhost("fix.shop.localhost"), environment("fix", "shop", None));
        assert_eq!(on_localhost("80-fix.shop.localhost"), environment("fix", "shop", Some(80)));
        assert_eq!(on_localhost("99999-a.shop.localhost"), None);
        let sandbox = Some(Place::Sandbox { id: "0a1b".into(), port: 3000 });
        assert_eq!(on_localhost("3000-0a1b.localhost"), sandbox);
        assert_eq!(place("3000-0a1b.box.example", "box.example"), sandbox);
        assert_eq!(place("api.box.example", "box.example"), Some(Place::Api));
        for nothing in
            ["localhost", "box.example", "3000-0a1b.box.example.com", "x-0a1b.box.example"]
        {
            assert_eq!(place(nothing, "box.example"), None, "{nothing}");
        }
    }

    #[test]
    fn the_headers_name_a_sandbox_and_a_port() {
        let mut headers = HeaderMap::new();
        assert_eq!(named_sandbox(&headers), None);
        headers.insert(SANDBOX_ID, HeaderValue::from_static("abc"));
        assert_eq!(named_sandbox(&headers), Some(("abc".into(), GUEST_PORT)));
        headers.insert(SANDBOX_PORT, HeaderValue::from_static("8080"));
        assert_eq!(named_sandbox(&headers), Some(("abc".into(), 8080)));
        headers.insert(SANDBOX_PORT, HeaderValue::from_static("many"));
        assert_eq!(named_sandbox(&headers), None);
    }

    #[test]
    fn a_port_that_breaks_off_is_not_called_closed() {
        let said =
            |failure| String::from_utf8(no_answer("abc", 80, &failure).body.to_vec()).unwrap();
        let closed = said(Failure::Unreachable(io::Error::other("refused")));
        assert!(closed.contains("port is not open"), "{closed}");
        let broken = said(Failure::Broken("it broke off".into()));
        assert!(broken.contains("port is open, but no valid answer: it broke off"), "{broken}");
    }
}
