//! Talking to registries: the distribution protocol (`/v2/`), as far as a pull needs it.
//!
//! Why our own, on an HTTP client that the house has anyway: `oci-client` 0.18 reads manifests
//! without a limit, knows no identity tokens and no mirrors with a path, and needs a process-wide
//! crypto provider. Content is checked by whoever asked for it.

mod auth;
mod credentials;
mod endpoint;
mod failure;
mod http;

use std::time::Duration;

use reqwest::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use reqwest::{Client, Response, StatusCode};
use tokio::sync::{Mutex, mpsc};

use crate::digest::Digest;
use crate::manifest;
use crate::reference::Reference;
use crate::{ImageError, Result};
use credentials::Credentials;
pub(crate) use endpoint::{Endpoint, endpoints};
pub(crate) use http::Clients;

/// Larger manifests are no manifests; registries draw the line here too.
const MANIFEST_LIMIT: u64 = 4 << 20;
/// Larger configurations are no configurations.
const CONFIG_LIMIT: u64 = 8 << 20;

/// One image's repository at one place.
pub(crate) struct Registry {
    client: Client,
    endpoint: Endpoint,
    reference: Reference,
    credentials: Option<Credentials>,
    read_timeout: Duration,
    authorization: Mutex<Option<HeaderValue>>,
}

impl Registry {
    pub(crate) async fn new(
        clients: &Clients,
        endpoint: Endpoint,
        reference: Reference,
        options: &crate::StoreOptions,
    ) -> Result<Self> {
        let credentials = credentials::find(options, &endpoint, &reference).await?;
        Ok(Self {
            client: clients.to(&endpoint),
            endpoint,
            reference,
            credentials,
            read_timeout: options.read_timeout,
            authorization: Mutex::new(None),
        })
    }

    /// The manifest or index under a tag or digest, with its media type.
    pub(crate) async fn manifest(&self, selector: &str) -> Result<(Vec<u8>, Option<String>)> {
        let path = format!("manifests/{selector}");
        let response = self.get(&path, Some(manifest::ACCEPT)).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(ImageError::NotInRegistry {
                registry: self.endpoint.host.clone(),
                name: format!("{}:{selector}", self.reference.repository),
            });
        }
        let response = self.usable(response).await?;
        let kind = response.headers().get(CONTENT_TYPE).and_then(|v| v.to_str().ok());
        let kind = kind.and_then(|v| v.split(';').next()).map(|v| v.trim().to_owned());
        Ok((self.small(response, MANIFEST_LIMIT, "the manifest").await?, kind))
    }

    /// A small blob, checked.
    pub(crate) async fn config(&self, digest: &Digest) -> Result<Vec<u8>> {
        let response = self.blob(digest).await?;
        let bytes = self.small(response, CONFIG_LIMIT, "the configuration").await?;
        digest.check("the configuration of the image", &bytes)?;
        Ok(bytes)
    }

    /// Sends the bytes of a blob into `sink`, `size` at most. Who takes them checks them.
    pub(crate) async fn download(
        &self,
        digest: &Digest,
        size: u64,
        sink: &mpsc::Sender<Vec<u8>>,
        progress: &(dyn Fn(u64) + Send + Sync),
    ) -> Result<()> {
        let mut response = self.blob(digest).await?;
        let cut_off = |found| ImageError::Truncated {
            what: format!("the layer {digest}"),
            expected: size,
            found,
        };
        let mut done = 0;
        loop {
            let chunk = match response.chunk().await {
                Ok(Some(chunk)) => chunk,
                Ok(None) if done == size => return Ok(()),
                Ok(None) => return Err(cut_off(done)),
                Err(error) if error.is_timeout() => return Err(self.failed(&error)),
                Err(_) => return Err(cut_off(done)),
            };
            done += chunk.len() as u64;
            if done > size {
                return Err(ImageError::invalid(
                    format!("the layer {digest}"),
                    format!("it is larger than the {size} bytes it should have"),
                ));
            }
            if sink.send(chunk.to_vec()).await.is_err() {
                // The writer failed, and says why itself.
                return Ok(());
            }
            progress(done);
        }
    }

    async fn blob(&self, digest: &Digest) -> Result<Response> {
        let response = self.get(&format!("blobs/{digest}"), None).await?;
        if response.status() == StatusCode::NOT_FOUND {
            return Err(ImageError::Registry {
                registry: self.endpoint.host.clone(),
                why: format!("it lacks {digest}, a part of the image"),
            });
        }
        self.usable(response).await
    }

    /// Asks, and once more with credentials when it wants some.
    async fn get(&self, path: &str, accept: Option<&'static str>) -> Result<Response> {
        let url = self.endpoint.url(&self.reference.repository, path)?;
        let mut asked = false;
        loop {
            let mut request = self.client.get(url.clone());
            if let Some(accept) = accept {
                request = request.header(ACCEPT, HeaderValue::from_static(accept));
            }
            let authorization = self.authorization.lock().await.clone();
            if let Some(value) = authorization {
                request = request.header(AUTHORIZATION, value);
            }
            let response = request.send().await.map_err(|e| self.failed(&e))?;
            if response.status() != StatusCode::UNAUTHORIZED || asked {
                return Ok(response);
            }
            asked = true;
            let challenges = response.headers().get_all(WWW_AUTHENTICATE);
            let challenges: Vec<_> = challenges.iter().cloned().collect();
            let fresh = self.authorize(&challenges).await?;
            *self.authorization.lock().await = Some(fresh);
        }
    }

    /// Reads a response that must be small.
    async fn small(&self, mut response: Response, limit: u64, what: &str) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| self.failed(&e))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() as u64 > limit {
                return Err(ImageError::invalid(what, format!("it is larger than {limit} bytes")));
            }
        }
        Ok(bytes)
    }
}
