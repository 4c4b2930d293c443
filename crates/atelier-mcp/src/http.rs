//! The HTTP client of remote servers: rustls with ring, the system's certificates, no redirect to anywhere
//! that the caller's headers were not meant for.

use std::net::IpAddr;
use std::sync::{Arc, Once};
use std::time::Duration;

use reqwest::Url;
use reqwest::redirect::Policy;

use crate::error::{McpError, Result};

/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(10);

/// How long a connection without work is used again. Node.js and uvicorn, which most servers run on, close theirs after
/// five seconds; a message that meets the closing is lost, and must not be sent twice.
const IDLE: Duration = Duration::from_secs(2);

/// A client for the server at this address.
pub(crate) fn client(for_server: &Url) -> Result<reqwest::Client> {
    let wrong = |e: String| McpError::Target { why: format!("the HTTP setup failed: {e}") };
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls().map_err(|e| wrong(e.to_string()))?)
        .connect_timeout(CONNECT)
        .pool_idle_timeout(IDLE)
        .user_agent(concat!("atelier/", env!("CARGO_PKG_VERSION")))
        // Headers of the caller's go where the caller said, so that no redirect can fetch them.
        .redirect(Policy::none());
    if is_loopback(for_server) {
        builder = builder.no_proxy();
    }
    builder.build().map_err(|e| wrong(e.to_string()))
}

fn tls() -> std::result::Result<rustls::ClientConfig, rustls::Error> {
    let mut roots = rustls::RootCertStore::empty();
    // None at all is no error: a server on loopback needs none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    Ok(rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Names ring for clients that the SDK makes itself (those of OAuth).
pub(crate) fn provide_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // One that is there already is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Whether it is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match host.parse::<IpAddr>() {
        Ok(address) => address.is_loopback(),
        Err(_) => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// What an error says, with its causes and without the URL, which may hold secrets.
pub(crate) fn words(error: &(dyn std::error::Error + 'static)) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = match error.downcast_ref::<reqwest::Error>() {
            // Its own words are little more than the URL.
            Some(own) if own.is_timeout() => "no answer in time".to_owned(),
            Some(own) if own.source_is_none() => plain(&own.to_string()),
            Some(_) => String::new(),
            None => plain(&error.to_string()),
        };
        if !text.is_empty() && !parts.iter().any(|part| part.contains(&text)) {
            parts.push(text);
        }
        next = error.source();
    }
    parts.join(": ")
}

fn plain(text: &str) -> String {
    match text.find(" for url (") {
        Some(at) => text[..at].to_owned(),
        None => text.to_owned(),
    }
}

trait Sourceless {
    fn source_is_none(&self) -> bool;
}

impl Sourceless for reqwest::Error {
    fn source_is_none(&self) -> bool {
        std::error::Error::source(self).is_none()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        for (url, here) in [
            ("http://localhost:1/x", true),
            ("http://127.9.0.1", true),
            ("http://[::1]:80", true),
            ("http://localhost.example.org", false),
            ("http://10.0.0.1", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), here, "{url}");
        }
    }

    #[tokio::test]
    async fn a_failure_names_no_url() {
        let url = Url::parse("http://127.0.0.1:1/mcp?key=secret").unwrap();
        let error = client(&url).unwrap().get(url).send().await.unwrap_err();
        let said = words(&error);
        assert!(said.contains("refused") && !said.contains("secret"), "{said}");
    }
}
