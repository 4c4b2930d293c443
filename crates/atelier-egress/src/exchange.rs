//! One request: judged, given its headers, sent, and answered as the server answers it.

use http_body_util::Either;
use hyper::body::Incoming;
use hyper::header::{ALT_SVC, CONNECTION, HOST, HeaderValue, UPGRADE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;

use crate::connection::Context;
use crate::reply::{Body, reply};

/// Who takes a request to the server.
pub(crate) trait Server {
    /// Sends it on the one connection that there is.
    fn send(
        &self,
        request: Request<Incoming>,
    ) -> impl Future<Output = hyper::Result<Response<Incoming>>> + Send;
}

/// Sends a request on; what is not for this host, or can't get its headers, is refused.
pub(crate) async fn forward(
    context: &Context,
    server: &impl Server,
    mut request: Request<Incoming>,
) -> hyper::Result<Response<Body>> {
    if let Some(refusal) = prepare(context, &mut request).await {
        return Ok(refusal);
    }
    let upgrade = request.headers().contains_key(UPGRADE).then(|| hyper::upgrade::on(&mut request));
    let mut response = server.send(request).await?;
    // A way around this connection, by HTTP/3 as a rule, on which requests would get no headers.
    response.headers_mut().remove(ALT_SVC);
    if let (StatusCode::SWITCHING_PROTOCOLS, Some(inside)) = (response.status(), upgrade) {
        let outside = hyper::upgrade::on(&mut response);
        tokio::spawn(async move {
            let (Ok(inside), Ok(outside)) = tokio::join!(inside, outside) else { return };
            let (mut inside, mut outside) = (TokioIo::new(inside), TokioIo::new(outside));
            // Who breaks off says so to the other side by closing.
            let _ = tokio::io::copy_bidirectional(&mut inside, &mut outside).await;
        });
    }
    Ok(response.map(Either::Left))
}

/// Gives a request its headers, or says why it can't have them.
async fn prepare(context: &Context, request: &mut Request<Incoming>) -> Option<Response<Body>> {
    if !is_for(request, &context.host) {
        let why = format!("this connection is one to {}, and this request is not", context.host);
        return Some(reply(StatusCode::MISDIRECTED_REQUEST, &why));
    }
    if request.method() == Method::CONNECT {
        let why = "hosts with header rules are not used as proxies";
        return Some(reply(StatusCode::METHOD_NOT_ALLOWED, why));
    }
    let rules = match (context.rules)().await {
        Ok(rules) => rules,
        Err(why) => return Some(reply(StatusCode::BAD_GATEWAY, &why)),
    };
    let headers = request.headers_mut();
    if headers.get(UPGRADE).is_some_and(|to| to.as_bytes().eq_ignore_ascii_case(b"h2c")) {
        // HTTP/2 without TLS would hide the requests that follow.
        headers.remove(UPGRADE);
        headers.remove("http2-settings");
        headers.insert(CONNECTION, HeaderValue::from_static("keep-alive"));
    }
    rules.apply(&context.host, context.port, headers);
    None
}

/// Whether a request names the host, once and nobody else.
fn is_for(request: &Request<Incoming>, host: &str) -> bool {
    let headers = request.headers().get_all(HOST).iter();
    let headers = headers.map(|value| value.to_str().ok().map(bare));
    let target = request.uri().authority().map(|authority| Some(bare(authority.as_str())));
    let mut named = headers.chain(target).peekable();
    named.peek().is_some() && named.all(|name| name.is_some_and(|name| name == host))
}

/// A host as rules write it.
fn bare(host: &str) -> String {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase()
}
