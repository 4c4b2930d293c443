//! HTTPS for the few things that are neither git nor a package: JSON from the MCP Registry.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::{Result, ToolsError};

/// More than any answer has.
const LARGEST: usize = 16 << 20;

/// The JSON at a URL; nothing for 404.
pub(crate) fn json(url: &str) -> Result<Option<Value>> {
    let failed = |why: String| ToolsError::Fetch {
        from: crate::source::without_password(url),
        why,
        by_hand: None,
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|e| failed(e.to_string()))?;
    runtime.block_on(async {
        let mut answer =
            client(url).map_err(failed)?.get(url).send().await.map_err(|e| failed(chain(&e)))?;
        if answer.status() == reqwest::StatusCode::NOT_FOUND {
            return Ok(None);
        }
        if !answer.status().is_success() {
            return Err(failed(format!("it answered {}", answer.status())));
        }
        let mut bytes = Vec::new();
        while let Some(part) = answer.chunk().await.map_err(|e| failed(chain(&e)))? {
            bytes.extend_from_slice(&part);
            if bytes.len() > LARGEST {
                return Err(failed(format!("its answer is larger than {} MiB", LARGEST >> 20)));
            }
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|e| failed(format!("no JSON: {e}")))
    })
}

fn chain(error: &reqwest::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        words = format!("{words}: {error}");
        cause = error.source();
    }
    words
}

fn client(url: &str) -> std::result::Result<reqwest::Client, String> {
    let mut roots = rustls::RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|e| e.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .connect_timeout(Duration::from_secs(10))
        .timeout(Duration::from_secs(60))
        .user_agent(concat!("atelier/", env!("CARGO_PKG_VERSION")));
    let near =
        ["http://127.", "http://localhost", "http://[::1]"].iter().any(|h| url.starts_with(h));
    let builder = if near { builder.no_proxy() } else { builder };
    builder.build().map_err(|e| e.to_string())
}
