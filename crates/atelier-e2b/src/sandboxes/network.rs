//! What a sandbox may reach: E2B's lists to our policy and back, and `PUT …/network`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use atelier_api::env::NetworkMode;
use atelier_api::sandbox::{HostRule, NetworkPolicy, SandboxNetwork, SandboxNetworkInput};
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
    rules: Option<BTreeMap<String, Vec<RuleView>>>,
    egress_proxy: Option<Value>,
    dns_servers: Option<Vec<String>>,
    pub(crate) mask_request_host: Option<String>,
    #[serde(rename = "allow_internet_access")]
    allow_internet_access: Option<bool>,
}

/// `SandboxNetworkRule`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default)]
struct RuleView {
    transform: Option<Transform>,
}

/// `SandboxNetworkTransform`.
#[derive(Default, Serialize, Deserialize)]
#[serde(default)]
struct Transform {
    headers: Option<BTreeMap<String, String>>,
}

impl std::fmt::Debug for Transform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Transform")
    }
}

/// What begins a word that E2B's own egress replaces: a secret's name, or a token of identity.
const PLACEHOLDER: &str = "${e2b.";
/// The first of these, and what we say for it.
const SECRET: (&str, &str) = ("${e2b.secrets.", "${secrets.");

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
        Ok(NetworkPolicy { mode: NetworkMode::Open, allow, deny, rules: self.rules()? })
    }

    /// The headers of each host. Of several rules for one the later has the last word.
    fn rules(&self) -> Result<BTreeMap<String, HostRule>, E2bError> {
        let mut all = BTreeMap::new();
        for (host, rules) in self.rules.iter().flatten() {
            let transforms = rules.iter().filter_map(|rule| rule.transform.as_ref());
            let headers = transforms.filter_map(|transform| transform.headers.clone()).flatten();
            let ours = |(name, value): (String, String)| (name, value.replace(SECRET.0, SECRET.1));
            let headers: BTreeMap<_, _> = headers.map(ours).collect();
            if let Some((name, _)) = headers.iter().find(|(_, value)| value.contains(PLACEHOLDER)) {
                return Err(E2bError::Invalid(format!(
                    "the header {name} of {host} names a token of identity, which are not supported by \
                     this server; give its value itself, or keep it as a secret"
                )));
            }
            if !headers.is_empty() {
                all.insert(host.clone(), HostRule { headers });
            }
        }
        Ok(all)
    }

    fn refuse_unserved(&self) -> Result<(), E2bError> {
        let refused =
            |what: &str| E2bError::Invalid(format!("{what} not supported by this server"));
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
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    rules: BTreeMap<String, Vec<RuleView>>,
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
        let rule = |(host, rule): (&String, &HostRule)| {
            let transform = Some(Transform { headers: Some(rule.redacted().headers) });
            (host.clone(), vec![RuleView { transform }])
        };
        let rules = policy.rules.iter().map(rule).collect();
        Self { allow_public_traffic: public, allow_out: allow, deny_out: deny, rules }
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
    fn headers_of_a_host_are_taken_and_not_shown_again() {
        let headers =
            |value: &str| format!(r#"{{"transform":{{"headers":{{"X-Key":"{value}"}}}}}}"#);
        let json = format!(
            r#"{{"rules":{{"a.com":[{},{{}},{}],"b.com":[]}}}}"#,
            headers("first"),
            headers("last")
        );
        let policy = policy(&json, None).unwrap();
        assert_eq!(policy.rules["a.com"].headers["X-Key"], "last");
        assert_eq!(policy.rules.len(), 1);
        let view = serde_json::to_value(NetworkView::new(&policy, true)).unwrap();
        assert_eq!(view["rules"]["a.com"][0]["transform"]["headers"]["X-Key"], HostRule::KEPT);
        assert!(!format!("{policy:?}").contains("last"));
    }

    #[test]
    fn secrets_are_named_in_our_words() {
        let json =
            r#"{"rules":{"a.com":[{"transform":{"headers":{"K":"x ${e2b.secrets.k} y"}}}]}}"#;
        let policy = policy(json, None).unwrap();
        assert_eq!(policy.rules["a.com"].headers["K"], "x ${secrets.k} y");
    }

    #[test]
    fn what_cannot_be_kept_is_refused() {
        let refused = |json: &str| policy(json, None).unwrap_err().to_string();
        assert_eq!(refused(r#"{"denyOut":["example.com"]}"#), "invalid denied CIDR example.com");
        assert_eq!(refused(r#"{"denyOut":["1.2.3.4/40"]}"#), "invalid denied CIDR 1.2.3.4/40");
        assert!(refused(r#"{"allowOut":["example.com"]}"#).contains("ALL_TRAFFIC"));
        let token =
            r#"{"rules":{"a.com":[{"transform":{"headers":{"K":"x ${e2b.identity.tokens.k}"}}}]}}"#;
        let why = refused(token);
        assert!(why.contains("header K of a.com") && !why.contains("tokens.k"), "{why}");
        assert!(refused(r#"{"egressProxy":{"address":"a:1"}}"#).contains("egressProxy"));
        assert!(policy(r#"{"rules":{},"egressProxy":null}"#, None).is_ok());
    }
}
