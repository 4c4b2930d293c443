//! The HTTP client: rustls with ring, the system's certificates, time limits.

use std::sync::Arc;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder};

use super::endpoint::{Endpoint, is_loopback};
use crate::{ImageError, Result, StoreOptions};

/// How many redirects a registry may send us through.
const REDIRECTS: usize = 10;

/// The clients of a store.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// Goes through the proxy that the environment names.
    far: Client,
    /// For this machine's own registries, which no proxy can reach.
    near: Client,
}

impl Clients {
    /// Makes them. Reads the system's certificates, which takes some milliseconds.
    pub(crate) fn new(options: &StoreOptions) -> Result<Self> {
        let tls = tls()?;
        let build = |builder: ClientBuilder| {
            builder.build().map_err(|e| ImageError::invalid("the HTTP setup", e))
        };
        Ok(Self {
            far: build(builder(options, tls.clone()))?,
            near: build(builder(options, tls).no_proxy())?,
        })
    }

    /// The one for a place.
    pub(super) fn to(&self, endpoint: &Endpoint) -> Client {
        if is_loopback(&endpoint.host) { self.near.clone() } else { self.far.clone() }
    }
}

fn tls() -> Result<rustls::ClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    // None at all is no error: a registry on loopback needs none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    Ok(rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| ImageError::invalid("the TLS setup", e))?
        .with_root_certificates(roots)
        .with_no_client_auth())
}

fn builder(options: &StoreOptions, tls: rustls::ClientConfig) -> ClientBuilder {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(options.connect_timeout)
        .read_timeout(options.read_timeout)
        .user_agent(concat!("atelier/", env!("CARGO_PKG_VERSION")))
        .redirect(Policy::custom(|attempt| {
            let was_secure = attempt.previous().last().is_some_and(|url| url.scheme() == "https");
            if attempt.previous().len() > REDIRECTS {
                attempt.error("too many redirects")
            } else if was_secure && attempt.url().scheme() != "https" {
                attempt.error("a redirect away from TLS")
            } else {
                attempt.follow()
            }
        }))
}
