//! Where tools come from: what was typed, what that is resolved to, and the files themselves.

mod fetch;
pub(crate) mod mcp_index;
mod mcp_registry;
pub(crate) mod refs;
mod registry;
mod spec;
pub(crate) mod tree;

pub(crate) use fetch::{Fetched, describe, fetch};
pub(crate) use registry::{Freshness, index};
pub use spec::MCP_REGISTRY;
pub(crate) use spec::{no_password, parse};
pub(crate) use tree::{Tree, digest, look};

/// An address as it may be shown: without the password that somebody wrote into it.
pub(crate) fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (host, path) = rest.split_once('/').map_or((rest, ""), |(host, path)| (host, path));
    match host.rsplit_once('@') {
        Some((user, host)) => {
            let user = user.split(':').next().unwrap_or_default();
            let user = if user.is_empty() { String::new() } else { format!("{user}@") };
            format!("{scheme}://{user}{host}/{path}")
        }
        None => url.to_owned(),
    }
}
