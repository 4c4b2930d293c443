//! What a sandbox may reach, and what its requests get on their way.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::env::NetworkMode;

/// What the network of a sandbox lets through. In the mode `open` an `allow` rule is an exception
/// to `deny`; in the mode `allowlist` only `allow` counts; with `none` nothing passes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct NetworkPolicy {
    /// How much is open by itself.
    pub mode: NetworkMode,
    /// `host:port`, `*.example.com`, `10.0.0.0/8:5432`, `localhost:5432`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// What is refused although the mode is `open`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<String>,
    /// What requests to a host get on their way out, by host: `api.example.com`, `*.example.com`, with or
    /// without a port. A rule lets nothing through that would not pass without it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rules: BTreeMap<String, HostRule>,
}

/// What requests to a host get on their way out, outside of the sandbox.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct HostRule {
    /// Headers by name, each in place of any that the request has. Values are never shown again: what is
    /// read back is [`HostRule::KEPT`], and where that is given the value stays what it was.
    pub headers: BTreeMap<String, String>,
}

impl HostRule {
    /// What stands for a value that is known and not shown.
    pub const KEPT: &str = "***";

    /// The same without the values.
    #[must_use]
    pub fn redacted(&self) -> Self {
        let kept = |name: &String| (name.clone(), Self::KEPT.to_owned());
        Self { headers: self.headers.keys().map(kept).collect() }
    }
}

impl std::fmt::Debug for HostRule {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.headers.keys()).finish()
    }
}
