//! Where a registry's images are had from: its mirrors, then itself.

use std::net::IpAddr;

use reqwest::Url;

use crate::reference::HUB;
use crate::{ImageError, Result, StoreOptions};

/// Where Docker Hub's registry really is.
const HUB_HOST: &str = "registry-1.docker.io";

/// A place that speaks the protocol.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// Ends with `/v2/`, or with the path of a mirror below it.
    base: Url,
    /// How it is called: `docker.io`, `mirror.example:5000`.
    pub host: String,
}

/// The places for a registry, in the order to ask them.
pub(crate) fn endpoints(options: &StoreOptions, registry: &str) -> Result<Vec<Endpoint>> {
    let mirrors = options.mirrors.get(registry).into_iter().flatten();
    let mut all = mirrors.map(|url| Endpoint::mirror(url)).collect::<Result<Vec<_>>>()?;
    all.push(Endpoint::of(options, registry)?);
    Ok(all)
}

impl Endpoint {
    fn of(options: &StoreOptions, registry: &str) -> Result<Self> {
        let plain = is_loopback(registry) || options.insecure.iter().any(|host| host == registry);
        let scheme = if plain { "http" } else { "https" };
        let host = if registry == HUB { HUB_HOST } else { registry };
        let base = format!("{scheme}://{host}/v2/");
        let base = base.parse().map_err(|e| ImageError::invalid(format!("the URL {base}"), e))?;
        Ok(Self { base, host: registry.to_owned() })
    }

    fn mirror(text: &str) -> Result<Self> {
        let bad =
            |why: &dyn std::fmt::Display| ImageError::invalid(format!("the mirror {text:?}"), why);
        let mut base: Url = text.parse().map_err(|e| bad(&e))?;
        if !matches!(base.scheme(), "http" | "https") {
            return Err(bad(&"it must begin with https:// or http://"));
        }
        let host = base.host_str().ok_or_else(|| bad(&"it has no host"))?.to_owned();
        let host = base.port().map_or_else(|| host.clone(), |port| format!("{host}:{port}"));
        let path = base.path().trim_end_matches('/').to_owned();
        let has_v2 = path.split('/').any(|part| part == "v2");
        base.set_path(&format!("{path}{}/", if has_v2 { "" } else { "/v2" }));
        Ok(Self { base, host })
    }

    /// Whether TLS protects what is sent there.
    pub(crate) fn is_secure(&self) -> bool {
        self.base.scheme() == "https"
    }

    pub(crate) fn url(&self, repository: &str, path: &str) -> Result<Url> {
        self.base
            .join(&format!("{repository}/{path}"))
            .map_err(|e| ImageError::invalid(format!("the URL of {repository}"), e))
    }

    /// What the repository is called there, for tokens.
    pub(crate) fn repository(&self, repository: &str) -> String {
        let below = self.base.path().split_once("/v2/").map_or("", |(_, below)| below);
        format!("{below}{repository}")
    }
}

/// Whether `host` or `host:port` is this machine.
pub(crate) fn is_loopback(registry: &str) -> bool {
    let host = match registry.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) => host,
        _ => registry,
    };
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrors_come_first_and_keep_their_path() {
        let mut options = StoreOptions::default();
        options.mirrors.insert(
            HUB.to_owned(),
            vec!["http://10.0.0.1:5000".to_owned(), "https://harbor.example/v2/hub/".to_owned()],
        );
        let all = endpoints(&options, HUB).unwrap();
        let urls: Vec<_> =
            all.iter().map(|e| e.url("library/a", "x").unwrap().to_string()).collect();
        assert_eq!(
            urls,
            [
                "http://10.0.0.1:5000/v2/library/a/x",
                "https://harbor.example/v2/hub/library/a/x",
                "https://registry-1.docker.io/v2/library/a/x",
            ]
        );
        assert_eq!(all[1].repository("library/a"), "hub/library/a");
    }

    #[test]
    fn only_loopback_and_listed_registries_go_without_tls() {
        let options = StoreOptions { insecure: vec!["lab:5000".into()], ..Default::default() };
        for (registry, secure) in [
            ("localhost:5000", false),
            ("127.0.0.1:5000", false),
            ("[::1]:5000", false),
            ("lab:5000", false),
            ("lab", true),
            ("ghcr.io", true),
        ] {
            let endpoint = Endpoint::of(&options, registry).unwrap();
            assert_eq!(endpoint.is_secure(), secure, "{registry}");
        }
    }
}
