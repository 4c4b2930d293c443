//! The HTTP client: rustls with ring, the system's certificates, time limits.

use std::sync::Arc;

use reqwest::Client;
use reqwest::redirect::Policy;

use crate::{ImageError, Result, StoreOptions};

/// How many redirects a registry may send us through.
const REDIRECTS: usize = 10;

/// Makes a client. Reads the system's certificates, which takes some milliseconds.
pub(crate) fn client(options: &StoreOptions) -> Result<Client> {
    let fail = |error: &dyn std::fmt::Display| ImageError::invalid("the TLS setup", error);
    let mut roots = rustls::RootCertStore::empty();
    // None at all is no error: a registry on loopback needs none.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| fail(&e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
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
        .build()
        .map_err(|e| fail(&e))
}
