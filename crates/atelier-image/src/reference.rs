//! Names of images, as Docker writes them: `[registry/]repository[:tag][@digest]`.

use std::fmt;

use crate::ImageError;
use crate::digest::Digest;

/// Docker Hub, which a name without a registry means.
pub(crate) const HUB: &str = "docker.io";

/// A full name of an image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// `docker.io`, `localhost:5000`.
    pub registry: String,
    /// `library/alpine`.
    pub repository: String,
    /// `3.20`. Both this and a digest may be there; the digest counts.
    pub tag: Option<String>,
    pub digest: Option<Digest>,
}

/// A name's parts as they were given.
struct Parts {
    registry: Option<String>,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Reads a name as a registry's: `alpine` is `docker.io/library/alpine:latest`.
    pub(crate) fn parse(name: &str) -> Result<Self, ImageError> {
        let parts = Parts::read(name)?;
        let mut registry = parts.registry.unwrap_or_else(|| HUB.to_owned());
        let mut repository = parts.repository;
        if registry == "index.docker.io" || registry == "registry-1.docker.io" {
            HUB.clone_into(&mut registry);
        }
        if registry == HUB && !repository.contains('/') {
            repository.insert_str(0, "library/");
        }
        let tag = parts.tag.or_else(|| parts.digest.is_none().then(|| "latest".to_owned()));
        Ok(Self { registry, repository, tag, digest: parts.digest })
    }

    /// What a manifest is asked for by: the digest, else the tag.
    pub(crate) fn selector(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.clone().unwrap_or_default(),
        }
    }

    /// The name that the image is kept under.
    pub(crate) fn name(&self) -> String {
        self.to_string()
    }

    /// The name without tag and digest.
    pub(crate) fn place(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), _) => write!(f, ":{tag}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (None, None) => Ok(()),
        }
    }
}

/// A name that was given to something made here. With a registry it is that registry's; without
/// it stays as it is: `base` is `base:latest`.
pub(crate) fn local_name(name: &str) -> Result<String, ImageError> {
    let parts = Parts::read(name)?;
    if parts.digest.is_some() {
        return bad(name, "a digest can't be given to an image");
    }
    if parts.registry.as_deref() == Some("localhost") {
        return local_name(name.trim_start_matches("localhost/"));
    }
    if parts.registry.is_some() {
        return Reference::parse(name).map(|reference| reference.name());
    }
    let tag = parts.tag.as_deref().unwrap_or("latest");
    Ok(format!("{}:{tag}", parts.repository))
}

/// The names that `name` may be kept under, the likeliest first.
pub(crate) fn candidates(name: &str) -> Vec<String> {
    let local = local_name(name).ok();
    let full = Reference::parse(name).ok().map(|reference| reference.name());
    let mut names: Vec<_> = local.into_iter().chain(full).collect();
    names.dedup();
    names
}

fn bad<T>(name: &str, why: &'static str) -> Result<T, ImageError> {
    Err(ImageError::BadName { name: name.chars().take(300).collect(), why })
}

impl Parts {
    fn read(name: &str) -> Result<Self, ImageError> {
        if name.is_empty() {
            return bad(name, "it is empty");
        }
        if name.len() > 512 {
            return bad(name, "it is too long");
        }
        let (rest, digest) = match name.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (name, None),
        };
        let Ok(digest) = digest.map(str::parse).transpose() else {
            return bad(name, "its digest is not sha256: and 64 digits");
        };
        let (rest, tag) = match rest.rsplit_once(':') {
            Some((rest, tag)) if !tag.contains('/') => (rest, Some(tag)),
            _ => (rest, None),
        };
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return bad(name, "its tag has other characters than letters, digits, _ . -");
        }
        let (registry, repository) = match rest.split_once('/') {
            Some((first, rest)) if is_host(first) => (Some(first), rest),
            _ => (None, rest),
        };
        if registry.is_some_and(|host| !is_valid_host(host)) {
            return bad(name, "its registry is not a host name");
        }
        if !repository.split('/').all(is_component) {
            return bad(name, "a repository is lower-case letters, digits and . _ - between them");
        }
        Ok(Self {
            registry: registry.map(str::to_owned),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest,
        })
    }
}

/// Docker's rule: the first part is a registry when it can't be a user's name.
fn is_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.starts_with('[')
}

fn is_valid_host(host: &str) -> bool {
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !name.is_empty() && !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let inside = name.strip_prefix('[').and_then(|n| n.strip_suffix(']'));
    let name_ok = match inside {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.split('.').all(|label| {
            !label.is_empty() && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        }),
    };
    name_ok && port.is_none_or(|port| port.parse::<u16>().is_ok())
}

fn is_tag(tag: &str) -> bool {
    let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=128).contains(&tag.len()) && tag.bytes().all(ok) && !tag.starts_with(['.', '-'])
}

fn is_component(part: &str) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let separator = |b: u8| matches!(b, b'.' | b'_' | b'-');
    let edge = |b: Option<u8>| b.is_some_and(inner);
    edge(part.bytes().next())
        && edge(part.bytes().next_back())
        && part.bytes().all(|b| inner(b) || separator(b))
        && !part.contains("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_docker_hubs() {
        for (short, full) in [
            ("alpine", "docker.io/library/alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20"),
            ("owner/name", "docker.io/owner/name:latest"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest"),
            ("ghcr.io/a/b/c:v1", "ghcr.io/a/b/c:v1"),
            ("localhost:5000/x", "localhost:5000/x:latest"),
            ("[::1]:5000/x:y", "[::1]:5000/x:y"),
        ] {
            assert_eq!(Reference::parse(short).unwrap().to_string(), full, "{short}");
        }
    }

    #[test]
    fn a_digest_counts_more_than_a_tag() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let reference = Reference::parse(&format!("alpine:3.20@{digest}")).unwrap();
        assert_eq!(reference.selector(), digest);
        assert_eq!(reference.name(), "docker.io/library/alpine:3.20");
        let reference = Reference::parse(&format!("alpine@{digest}")).unwrap();
        assert_eq!(reference.name(), format!("docker.io/library/alpine@{digest}"));
    }

    #[test]
    fn names_given_here_stay_local_unless_they_name_a_registry() {
        assert_eq!(local_name("base").unwrap(), "base:latest");
        assert_eq!(local_name("localhost/base:1").unwrap(), "base:1");
        assert_eq!(local_name("ghcr.io/a/b").unwrap(), "ghcr.io/a/b:latest");
        assert_eq!(candidates("base"), ["base:latest", "docker.io/library/base:latest"]);
    }

    #[test]
    fn what_no_image_can_be_called_is_refused() {
        for name in [
            "",
            "UPPER",
            "a//b",
            "a:",
            "a:b c",
            "../x",
            "a/../b",
            "host.io:port/x",
            "a@sha256:12",
            "-x",
            "x/",
            "ex ample.org/x",
            "a:.b",
        ] {
            assert!(Reference::parse(name).is_err(), "{name:?}");
        }
    }
}
