//! Where a sandbox may connect to: the modes, and the one decision on an address. No packets and
//! no names that were resolved live here; the stack adds those.

mod intercept;
mod network;
mod ranges;
mod rule;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

pub use intercept::Intercept;
pub use network::Network;
pub use rule::{Ports, Rule, Target};

/// How much of the network a sandbox reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Nothing.
    None,
    /// Everything but loopback, link-local (cloud metadata) and other special addresses.
    #[default]
    Open,
    /// What a rule allows, and nothing else.
    Allowlist,
}

/// A sandbox's network policy.
///
/// In [`Mode::Open`] the rules grant what that mode refuses: the host's loopback, and special
/// addresses by their number.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The mode.
    #[serde(default)]
    pub mode: Mode,
    /// The rules, as text in JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Rule>,
    /// What [`Mode::Open`] refuses, unless a rule of `allow` matches too. A network of IPv4 says
    /// nothing about IPv6: to refuse everything write `*`, or both `0.0.0.0/0` and `::/0`. A name
    /// is refused by not resolving it. An allowlist refuses whatever it does not allow, so this
    /// changes nothing there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Rule>,
    /// TCP connections that go elsewhere than to the address they name, whatever the rules say; not
    /// under [`Mode::None`]. For the host only: nothing that a user writes becomes one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub detours: Vec<Detour>,
    /// Hosts whose requests the control plane changes on their way. It allows nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub intercept: Option<Intercept>,
}

/// Where connections to an address and port go instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detour {
    /// What the sandbox connects to.
    pub from: SocketAddr,
    /// Where that leads, as the host sees it.
    pub to: SocketAddr,
}

impl Policy {
    /// No network at all.
    #[must_use]
    pub const fn none() -> Self {
        Self {
            mode: Mode::None,
            allow: Vec::new(),
            deny: Vec::new(),
            detours: Vec::new(),
            intercept: None,
        }
    }

    /// Only what the rules allow.
    #[must_use]
    pub const fn allowlist(allow: Vec<Rule>) -> Self {
        Self {
            mode: Mode::Allowlist,
            allow,
            deny: Vec::new(),
            detours: Vec::new(),
            intercept: None,
        }
    }

    /// Where a TCP connection to an address goes instead.
    #[must_use]
    pub fn detour(&self, to: SocketAddr) -> Option<SocketAddr> {
        if self.mode == Mode::None {
            return None;
        }
        self.detours.iter().find(|detour| detour.from == to).map(|detour| detour.to)
    }

    /// Whether the host's loopback `port` is granted.
    #[must_use]
    pub fn grants_host_port(&self, port: u16) -> bool {
        self.mode != Mode::None
            && self.allow.iter().any(|r| r.target == Target::Host && r.ports.contains(port))
    }

    /// Whether the policy alone lets a connection to an address through: by the mode, or by a
    /// rule that names the address or its network. Rules with names are not looked at.
    #[must_use]
    pub fn allows_address(&self, ip: IpAddr, port: u16) -> bool {
        let ip = ip.to_canonical();
        let inner = ranges::embedded(ip);
        let either = |is: fn(IpAddr) -> bool| is(ip) || is(inner);
        match self.mode {
            Mode::None => false,
            _ if either(ranges::never) => false,
            _ if either(ranges::special) => self.names_special(ip, port),
            Mode::Open => {
                let denied = [ip, inner].into_iter().any(|ip| matches(&self.deny, ip, port));
                !denied || matches(&self.allow, ip, port)
            }
            Mode::Allowlist => matches(&self.allow, ip, port),
        }
    }

    /// Whether a name may be resolved. It is in lower case without a final dot.
    #[must_use]
    pub fn allows_name(&self, name: &str) -> bool {
        let named = |rules: &[Rule]| rules.iter().any(|rule| rule.target.names(name));
        match self.mode {
            Mode::None => false,
            // An address may still be allowed by its number though every name is refused.
            Mode::Open => !named(&self.deny) || named(&self.allow),
            Mode::Allowlist => named(&self.allow),
        }
    }

    /// Whether a rule allows a port of a name's addresses.
    #[cfg(feature = "stack")]
    pub(crate) fn allows_port_of(&self, name: &str, port: u16) -> bool {
        self.allow.iter().any(|rule| rule.target.names(name) && rule.ports.contains(port))
    }

    /// Whether an address is of those that a name must never lead to.
    #[must_use]
    pub fn is_special(ip: IpAddr) -> bool {
        [ip, ranges::embedded(ip)].into_iter().any(|ip| ranges::never(ip) || ranges::special(ip))
    }

    /// A special address is granted only by a rule that is about nothing else: `0.0.0.0/0` does
    /// not open the cloud's metadata service, `169.254.169.254` does.
    fn names_special(&self, ip: IpAddr, port: u16) -> bool {
        self.allow.iter().any(|rule| match rule.target {
            Target::Network(net) => {
                net.contains(ip)
                    && ranges::special(net.first())
                    && ranges::special(net.last())
                    && rule.ports.contains(port)
            }
            _ => false,
        })
    }
}

fn matches(rules: &[Rule], ip: IpAddr, port: u16) -> bool {
    rules.iter().any(|rule| rule.target.contains(ip) && rule.ports.contains(port))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Addresses;

    fn policy(mode: Mode, rules: &[&str]) -> Policy {
        let allow = rules.iter().map(|r| r.parse().unwrap()).collect();
        Policy { mode, allow, ..Policy::default() }
    }

    fn allows(policy: &Policy, ip: &str, port: u16) -> bool {
        policy.allows_address(ip.parse().unwrap(), port)
    }

    #[test]
    fn an_open_network_reaches_public_and_private_addresses() {
        let open = Policy::default();
        for ip in ["1.1.1.1", "10.0.0.7", "192.168.1.1", "172.17.0.1", "2606:4700::1111"] {
            assert!(allows(&open, ip, 443), "{ip}");
        }
    }

    #[test]
    fn an_open_network_refuses_what_belongs_to_the_host() {
        let open = Policy::default();
        let refused = [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "224.0.0.251",
            "255.255.255.255",
            "240.0.0.1",
            "198.51.100.1",
            "198.51.100.77",
            "::",
            "::1",
            "fe80::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd61:7465:6c69::1",
            "::ffff:127.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::a9fe:a9fe",
            "64:ff9b:1::7f00:1",
            "2002:7f00:1::1",
            "100.100.100.200",
            "168.63.129.16",
        ];
        for ip in refused {
            assert!(!allows(&open, ip, 80), "{ip}");
        }
    }

    #[test]
    fn an_allowlist_lets_only_its_networks_and_ports_through() {
        let list =
            policy(Mode::Allowlist, &["10.0.0.0/8:5432", "1.1.1.1:8000-9000", "[2001:db8::1]"]);
        assert!(allows(&list, "10.255.0.1", 5432));
        assert!(!allows(&list, "10.255.0.1", 5433));
        assert!(!allows(&list, "11.0.0.1", 5432));
        assert!(allows(&list, "1.1.1.1", 8000) && allows(&list, "1.1.1.1", 9000));
        assert!(!allows(&list, "1.1.1.1", 9001));
        assert!(allows(&list, "2001:db8::1", 1));
        assert!(allows(&list, "::ffff:10.0.0.1", 5432), "the same address in IPv6 dress");
        assert!(!allows(&list, "2002:a00:1::1", 5432), "another address that holds it");
    }

    #[test]
    fn a_wide_rule_does_not_open_metadata_but_its_own_address_does() {
        assert!(!allows(&policy(Mode::Allowlist, &["0.0.0.0/0"]), "169.254.169.254", 80));
        assert!(!allows(&policy(Mode::Allowlist, &["*:80"]), "169.254.169.254", 80));
        let named = policy(Mode::Open, &["169.254.169.254:80"]);
        assert!(allows(&named, "169.254.169.254", 80));
        assert!(!allows(&named, "169.254.169.254", 81));
        assert!(!allows(&named, "169.254.1.1", 80));
    }

    #[test]
    fn the_hosts_loopback_is_a_grant_of_its_own() {
        let list = policy(Mode::Open, &["localhost:5432"]);
        assert!(list.grants_host_port(5432) && !list.grants_host_port(5433));
        assert!(!allows(&list, "127.0.0.1", 5432), "only by the gateway's address");
        assert!(!policy(Mode::None, &["localhost:5432"]).grants_host_port(5432));
    }

    fn denying(deny: &[&str], allow: &[&str]) -> Policy {
        let deny = deny.iter().map(|r| r.parse().unwrap()).collect();
        Policy { deny, ..policy(Mode::Open, allow) }
    }

    #[test]
    fn an_open_network_refuses_what_is_denied() {
        let some = denying(&["10.0.0.0/8", "1.1.1.1:53"], &[]);
        assert!(!allows(&some, "10.1.2.3", 443) && allows(&some, "11.1.2.3", 443));
        assert!(!allows(&some, "1.1.1.1", 53) && allows(&some, "1.1.1.1", 443));
        assert!(!allows(&some, "64:ff9b::a01:203", 443), "the same place by way of NAT64");
        let all = denying(&["0.0.0.0/0"], &[]);
        assert!(!allows(&all, "8.8.8.8", 443) && allows(&all, "2606:4700::1111", 443));
        assert!(!allows(&denying(&["*"], &[]), "2606:4700::1111", 443));
    }

    #[test]
    fn what_is_allowed_wins_over_what_is_denied() {
        let but = denying(&["0.0.0.0/0", "::/0"], &["8.8.8.8", "10.0.0.0/8:5432"]);
        assert!(allows(&but, "8.8.8.8", 443) && allows(&but, "10.0.0.1", 5432));
        assert!(!allows(&but, "8.8.4.4", 443) && !allows(&but, "10.0.0.1", 443));
        assert!(!allows(&denying(&[], &["0.0.0.0/0"]), "169.254.169.254", 80), "as ever");
    }

    #[test]
    fn a_denied_name_is_not_resolved() {
        let some = denying(&["*.bad.test"], &["good.bad.test"]);
        assert!(!some.allows_name("a.bad.test") && some.allows_name("good.bad.test"));
        assert!(some.allows_name("else.test"));
        assert!(denying(&["0.0.0.0/0"], &[]).allows_name("a.test"), "addresses are no names");
    }

    #[test]
    fn none_reaches_nothing() {
        assert!(!allows(&policy(Mode::None, &["1.1.1.1"]), "1.1.1.1", 443));
    }

    #[test]
    fn a_policy_travels_as_json() {
        let text = r#"{"mode":"allowlist","allow":["*.example.com:443","localhost:5432"]}"#;
        let read: Policy = serde_json::from_str(text).unwrap();
        assert_eq!(read.mode, Mode::Allowlist);
        assert_eq!(
            serde_json::to_string(&read).unwrap(),
            text.replace("localhost", Addresses::HOST_NAME)
        );
        assert!(serde_json::from_str::<Policy>(r#"{"allow":["a:0"]}"#).is_err());
        let text = r#"{"mode":"open","allow":["*.example.com"],"deny":["0.0.0.0/0","8.8.8.8"]}"#;
        let read: Policy = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
    }
}
