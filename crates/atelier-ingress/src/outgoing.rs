//! The head of a request as the upstream gets it: HTTP/1.1, without what belongs to the client's
//! connection, and with who asked.

use std::net::SocketAddr;

use hyper::body::Body;
use hyper::header::{
    self, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, HeaderMap, HeaderName, HeaderValue, TE,
    TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::request::Parts;
use hyper::{Method, Request, StatusCode, Uri, Version};

use crate::body::RequestBody;
use crate::headers::{has_token, is_hop_by_hop};
use crate::host::Host;
use crate::tunnel::Upgrade;
use crate::upstream::{Refusal, Upstream};

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Everything that a head is made from. Making one twice gives the same.
pub(crate) struct Outgoing<'a> {
    uri: Uri,
    parts: &'a Parts,
    host: HeaderValue,
    client_host: HeaderValue,
    has_body: bool,
    upgrade: Option<&'a Upgrade>,
    set: &'a [(HeaderName, HeaderValue)],
    remove: &'a [HeaderName],
    peer: SocketAddr,
    tls: bool,
    trust: bool,
}

impl<'a> Outgoing<'a> {
    pub(crate) fn new(
        parts: &'a Parts,
        host: &Host,
        upgrade: Option<&'a Upgrade>,
        upstream: &'a Upstream,
        body: &RequestBody,
    ) -> Result<Self, Refusal> {
        let client_host = value(&host.raw)?;
        Ok(Self {
            uri: target(parts)?,
            parts,
            host: upstream.host.as_deref().map_or_else(|| Ok(client_host.clone()), value)?,
            client_host,
            has_body: !body.is_end_stream(),
            upgrade,
            set: &upstream.set_headers,
            remove: &upstream.remove_headers,
            peer: SocketAddr::from(([0, 0, 0, 0], 0)),
            tls: false,
            trust: false,
        })
    }

    pub(crate) fn from(mut self, peer: SocketAddr, tls: bool, trust: bool) -> Self {
        (self.peer, self.tls, self.trust) = (peer, tls, trust);
        self
    }

    /// The head.
    pub(crate) fn make(&self) -> Request<()> {
        let mut request = Request::new(());
        *request.method_mut() = match self.upgrade {
            Some(_) => Method::GET,
            None => self.parts.method.clone(),
        };
        *request.uri_mut() = self.uri.clone();
        let headers = request.headers_mut();
        headers.reserve(self.parts.headers.len() + 8);
        headers.insert(HOST, self.host.clone());
        self.copy(headers);
        self.frame(headers);
        self.forwarded(headers);
        if let Some(upgrade) = self.upgrade {
            upgrade.ask(headers);
        }
        for name in self.remove {
            headers.remove(name);
        }
        for (name, value) in self.set {
            headers.insert(name.clone(), value.clone());
        }
        request
    }

    fn copy(&self, headers: &mut HeaderMap) {
        let named = connection_names(&self.parts.headers);
        for (name, value) in &self.parts.headers {
            let own =
                name == HOST || name == CONTENT_LENGTH || name == EXPECT || is_forwarded(name);
            if own || is_hop_by_hop(name) || named.contains(name) {
                continue;
            }
            headers.append(name.clone(), value.clone());
        }
        if self.parts.version >= Version::HTTP_2 {
            join_cookies(headers);
        }
        if has_token(&self.parts.headers, &TE, "trailers") {
            headers.insert(TE, HeaderValue::from_static("trailers"));
            headers.insert(CONNECTION, HeaderValue::from_static("TE"));
        }
    }

    /// One length, or chunks: never both, whatever came.
    fn frame(&self, headers: &mut HeaderMap) {
        if let Some(length) = self.parts.headers.get(CONTENT_LENGTH) {
            headers.insert(CONTENT_LENGTH, length.clone());
        } else if self.has_body {
            headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }

    fn forwarded(&self, headers: &mut HeaderMap) {
        let before = &self.parts.headers;
        let mut all = String::new();
        if self.trust {
            for value in before.get_all(&FORWARDED_FOR).iter().filter_map(|v| v.to_str().ok()) {
                all.push_str(value);
                all.push_str(", ");
            }
            if let Some(forwarded) = before.get(header::FORWARDED) {
                headers.insert(header::FORWARDED, forwarded.clone());
            }
        }
        use std::fmt::Write;
        // Writing to a string does not fail.
        let _ = write!(all, "{}", self.peer.ip().to_canonical());
        if let Ok(all) = HeaderValue::try_from(all) {
            headers.insert(FORWARDED_FOR, all);
        }
        let scheme = HeaderValue::from_static(if self.tls { "https" } else { "http" });
        let kept = |name: &HeaderName| before.get(name).filter(|_| self.trust).cloned();
        headers.insert(FORWARDED_PROTO, kept(&FORWARDED_PROTO).unwrap_or(scheme));
        headers.insert(
            FORWARDED_HOST,
            kept(&FORWARDED_HOST).unwrap_or_else(|| self.client_host.clone()),
        );
    }
}

/// The target as an origin server expects it: without scheme and host.
fn target(parts: &Parts) -> Result<Uri, Refusal> {
    if parts.uri.authority().is_none() && parts.uri.path_and_query().is_some() {
        return Ok(parts.uri.clone());
    }
    let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
    let path = if path.is_empty() { "/" } else { path };
    path.parse().map_err(|_| Refusal::text(StatusCode::BAD_REQUEST, "the path is not valid"))
}

fn value(text: &str) -> Result<HeaderValue, Refusal> {
    text.parse().map_err(|_| Refusal::text(StatusCode::BAD_REQUEST, "the host name is not valid"))
}

fn connection_names(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .filter(|name| {
            !name.eq_ignore_ascii_case("keep-alive") && !name.eq_ignore_ascii_case("close")
        })
        .filter_map(|name| HeaderName::from_bytes(name.as_bytes()).ok())
        .filter(|name| name != UPGRADE)
        .collect()
}

fn is_forwarded(name: &HeaderName) -> bool {
    name == FORWARDED_FOR
        || name == FORWARDED_PROTO
        || name == FORWARDED_HOST
        || name == header::FORWARDED
}

/// HTTP/2 may send cookies one by one; HTTP/1.1 knows one list (RFC 9113, section 8.2.3).
fn join_cookies(headers: &mut HeaderMap) {
    let all: Vec<&[u8]> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if all.len() > 1
        && let Ok(joined) = HeaderValue::from_bytes(&all.join(&b"; "[..]))
    {
        headers.insert(COOKIE, joined);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::upstream::TcpDial;

    fn made(
        request: hyper::http::request::Builder,
        trust: bool,
        change: fn(&mut Upstream),
    ) -> Request<()> {
        let parts = request.body(()).unwrap().into_parts().0;
        let host = crate::host::of(&parts).unwrap();
        let mut upstream = Upstream::new("k", Arc::new(TcpDial(([127, 0, 0, 1], 1).into())));
        change(&mut upstream);
        Outgoing::new(&parts, &host, None, &upstream, &RequestBody::empty())
            .unwrap()
            .from(([192, 0, 2, 1], 9).into(), true, trust)
            .make()
    }

    #[test]
    fn what_belongs_to_the_clients_connection_does_not_pass() {
        let request = Request::get("http://a.test/p?q")
            .header("connection", "close, x-secret")
            .header("x-secret", "1")
            .header("keep-alive", "5")
            .header("te", "gzip")
            .header("upgrade", "h2c")
            .header("http2-settings", "AAA")
            .header("expect", "100-continue")
            .header("proxy-authorization", "Basic x")
            .header("x-kept", "1");
        let made = made(request, false, |_| {});
        let names: Vec<&str> = made.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(
            names,
            ["host", "x-kept", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"]
        );
        assert_eq!(made.uri(), "/p?q");
    }

    #[test]
    fn who_asked_is_told_and_cannot_be_made_up() {
        let request = || {
            Request::get("/")
                .header("host", "a.test:81")
                .header("x-forwarded-for", "10.0.0.1")
                .header("x-forwarded-proto", "http")
                .header("x-forwarded-host", "evil.test")
                .header("forwarded", "for=10.0.0.1")
        };
        let seen = made(request(), false, |_| {});
        assert_eq!(seen.headers()["x-forwarded-for"], "192.0.2.1");
        assert_eq!(seen.headers()["x-forwarded-proto"], "https");
        assert_eq!(seen.headers()["x-forwarded-host"], "a.test:81");
        assert!(!seen.headers().contains_key("forwarded"));
        let trusted = made(request(), true, |_| {});
        assert_eq!(trusted.headers()["x-forwarded-for"], "10.0.0.1, 192.0.2.1");
        assert_eq!(trusted.headers()["x-forwarded-proto"], "http");
        assert_eq!(trusted.headers()["x-forwarded-host"], "evil.test");
    }

    #[test]
    fn the_upstream_may_see_another_host_and_other_headers() {
        let request =
            Request::get("/").header("host", "a.test").header("x-token", "t").header("x-a", "1");
        let made = made(request, false, |upstream| {
            upstream.host = Some("localhost:3000".to_owned());
            upstream.remove_headers = vec![HeaderName::from_static("x-token")];
            upstream.set_headers =
                vec![(HeaderName::from_static("x-a"), HeaderValue::from_static("2"))];
        });
        assert_eq!(made.headers()["host"], "localhost:3000");
        assert_eq!(made.headers()["x-forwarded-host"], "a.test");
        assert!(!made.headers().contains_key("x-token"));
        assert_eq!(made.headers().get_all("x-a").iter().collect::<Vec<_>>(), ["2"]);
    }

    #[test]
    fn cookies_of_http2_become_one_list() {
        let request = Request::get("https://a.test/")
            .version(Version::HTTP_2)
            .header("cookie", "a=1")
            .header("cookie", "b=2");
        let made = made(request, false, |_| {});
        assert_eq!(made.headers().get_all("cookie").iter().collect::<Vec<_>>(), ["a=1; b=2"]);
    }
}
