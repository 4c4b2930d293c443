//! What a sandbox may reach: E2B's lists to our policy and back, and `PUT …/network`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use atelier_api::env::NetworkMode;
use atelier_api::sandbox::{NetworkPolicy, SandboxNetwork, SandboxNetworkInput};
use axum::extract::Path;
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::find;
use crate::request::{Body, Caller};
use crate::{Door, E2bError};

/// All that E2B denies at once. It knows IPv4 only; we deny IPv6 with it.
const ALL: &str = "0.0.0.0/0";
const ALL_V6: &str = "::/0";

/// `SandboxNetworkConfig`, and its update.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct NetworkRequest {
    pub(crate) allow_public_traffic: Option<bool>,
    allow_out: Option<Vec<String>>,
    deny_out: Option<Vec<String>>,
    rules: Option<BTreeMap<String, Value>>,
    egress_proxy: Option<Value>,
    dns_servers: Option<Vec<String>>,
    pub(crate) mask_request_host: Option<String>,
    #[serde(rename = "allow_internet_access")]
    allow_internet_access: Option<bool>,
}

impl NetworkRequest {
    /// Our policy for it. An allowed destination is an exception to the denied ones.
    pub(crate) fn policy(&self, internet: Option<bool>) -> Result<NetworkPolicy, E2bError> {
        self.refuse_unserved()?;
        let mut deny = self.deny_out.clone().unwrap_or_default();
        if internet.or(self.allow_internet_access) == Some(false) {
            deny.push(ALL.to_owned());
        }
        if let Some(wrong) = deny.iter().find(|entry| !is_address(entry)) {
            return Err(E2bError::Invalid(format!("invalid denied CIDR {wrong}")));
        }
        let mut allow = self.allow_out.clone().unwrap_or_default();
        let closed = deny.iter().any(|entry| entry == ALL);
        if allow.iter().any(|entry| !is_address(entry)) {
            if !closed {
                let why = "When specifying allowed domains in allow out, you must include \
                           'ALL_TRAFFIC' in deny out to block all other traffic.";
                return Err(E2bError::Invalid(why.to_owned()));
            }
            allow.extend(self.dns()?);
        }
        if closed {
            deny.push(ALL_V6.to_owned());
        }
        deny.sort();
        deny.dedup();
        Ok(NetworkPolicy { mode: NetworkMode::Open, allow, deny })
    }

    fn refuse_unserved(&self) -> Result<(), E2bError> {
        let refused =
            |what: &str| E2bError::Invalid(format!("{what} not supported by this server"));
        if self.rules.as_ref().is_some_and(|rules| !rules.is_empty()) {
            return Err(refused("network.rules (header transforms of egress) are"));
        }
        if self.egress_proxy.is_some() {
            return Err(refused("network.egressProxy is"));
        }
        Ok(())
    }

    /// Name servers that may be reached when names are allowed. Ours always can be.
    fn dns(&self) -> Result<Vec<String>, E2bError> {
        let servers = self.dns_servers.clone().unwrap_or_default();
        match servers.iter().find(|server| server.parse::<Ipv4Addr>().is_err()) {
            Some(wrong) => Err(E2bError::Invalid(format!("invalid DNS server {wrong}"))),
            None => Ok(servers),
        }
    }
}

fn is_address(entry: &str) -> bool {
    let (address, bits) = match entry.split_once('/') {
        Some((address, bits)) => (address, bits.parse::<u8>().ok()),
        None => (entry, Some(0)),
    };
    match (address.parse::<IpAddr>(), bits) {
        (Ok(IpAddr::V4(_)), Some(bits)) => bits <= 32,
        (Ok(IpAddr::V6(_)), Some(bits)) => bits <= 128,
        _ => false,
    }
}

/// `SandboxNetworkConfig` of a sandbox that is there.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct NetworkView {
    allow_public_traffic: bool,
    allow_out: Vec<String>,
    deny_out: Vec<String>,
}

impl NetworkView {
    pub(crate) fn new(policy: &NetworkPolicy, public: bool) -> Self {
        let mut deny = policy.deny.clone();
        if policy.mode != NetworkMode::Open {
            deny.push(ALL.to_owned());
        }
        if deny.iter().any(|entry| entry == ALL) {
            deny.retain(|entry| entry != ALL_V6);
        }
        deny.dedup();
        let allow =
            if policy.mode == NetworkMode::None { Vec::new() } else { policy.allow.clone() };
        Self { allow_public_traffic: public, allow_out: allow, deny_out: deny }
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.deny_out.iter().any(|entry| entry == ALL)
    }
}

/// `PUT /sandboxes/{id}/network`: replaces all; what is absent is cleared.
pub(crate) async fn replace<D: Door>(
    Caller(door): Caller<D>,
    Path(id): Path<String>,
    Body(request): Body<NetworkRequest>,
) -> Result<StatusCode, E2bError> {
    let network = request.policy(None)?;
    let sandbox = find(&door, &id).await?.sandbox.id;
    door.call::<SandboxNetwork>(SandboxNetworkInput { sandbox, network }).await?;
    Ok(StatusCode::NO_CONTENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(json: &str, internet: Option<bool>) -> Result<NetworkPolicy, E2bError> {
        serde_json::from_str::<NetworkRequest>(json).unwrap().policy(internet)
    }

    #[test]
    fn allowed_destinations_are_exceptions_to_denied_ones() {
        let network = r#"{"allowOut":["1.1.1.1","*.example.com"],"denyOut":["0.0.0.0/0"]}"#;
        let policy = policy(network, None).unwrap();
        assert_eq!(policy.mode, NetworkMode::Open);
        assert_eq!(policy.allow, ["1.1.1.1", "*.example.com"]);
        assert_eq!(policy.deny, ["0.0.0.0/0", "::/0"], "IPv6 is no way around it");
        let view = NetworkView::new(&policy, true);
        assert_eq!(view.deny_out, ["0.0.0.0/0"], "and is not shown, E2B has none");
        assert!(view.is_closed());
    }

    #[test]
    fn no_internet_is_a_denial_of_all() {
        assert_eq!(policy("{}", Some(false)).unwrap().deny, ["0.0.0.0/0", "::/0"]);
        assert_eq!(policy("{}", Some(true)).unwrap(), NetworkPolicy::default());
        let update = r#"{"allow_internet_access":false}"#;
        assert_eq!(policy(update, None).unwrap().deny, ["0.0.0.0/0", "::/0"]);
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |json: &str| policy(json, None).unwrap_err().to_string();
        assert_eq!(refused(r#"{"denyOut":["example.com"]}"#), "invalid denied CIDR example.com");
        assert_eq!(refused(r#"{"denyOut":["1.2.3.4/40"]}"#), "invalid denied CIDR 1.2.3.4/40");
        assert!(refused(r#"{"allowOut":["example.com"]}"#).contains("ALL_TRAFFIC"));
        assert!(refused(r#"{"rules":{"a.com":[{}]}}"#).contains("rules"));
        assert!(refused(r#"{"egressProxy":{"address":"a:1"}}"#).contains("egressProxy"));
        assert!(policy(r#"{"rules":{},"egressProxy":null}"#, None).is_ok());
    }
}
