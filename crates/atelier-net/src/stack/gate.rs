//! The one decision for every packet that would open something: where it goes, or that it goes
//! nowhere. It joins the policy with the addresses that allowed names were seen to have.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::{Addresses, Intercept, Mode, Policy};

/// Names remembered at most, each for one address.
const MAX_LEARNED: usize = 8192;
/// Of these, at one address: many names lead to a large provider's, few are used by one sandbox.
const MAX_AT_ONE: usize = 64;
/// DNS's port (RFC 1035), which is ours to answer under an allowlist.
const DNS_PORT: u16 = 53;

/// Where a connection goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To this address.
    Out(SocketAddr),
    /// To the host's loopback.
    Host(u16),
    /// To our own nameserver.
    Dns,
    /// Nowhere.
    Denied,
}

/// The policy and what was learned.
pub(super) struct Gate {
    policy: RefCell<Policy>,
    min_ttl: Duration,
    learned: RefCell<HashMap<IpAddr, Vec<Learned>>>,
    /// How many names there are in all.
    count: Cell<usize>,
}

/// A name that an address belongs to. Whether it counts is the policy's business, which may be
/// replaced.
struct Learned {
    name: Box<str>,
    until: Instant,
}

impl Gate {
    pub(super) fn new(policy: Policy, min_ttl: Duration) -> Self {
        let (policy, learned) = (RefCell::new(policy), RefCell::default());
        Self { policy, min_ttl, learned, count: Cell::new(0) }
    }

    /// Decides by another policy from now on. What names were seen to lead to stays known.
    pub(super) fn replace(&self, policy: Policy) {
        *self.policy.borrow_mut() = policy;
    }

    /// Whether the control plane takes over any connection.
    pub(super) fn intercepts(&self) -> bool {
        let policy = self.policy.borrow();
        policy.intercept.as_ref().is_some_and(|intercept| !intercept.hosts.is_empty())
    }

    /// Who takes over connections to a port of a host, if anybody does.
    pub(super) fn intercept(&self, host: &str, port: u16) -> Option<Intercept> {
        let policy = self.policy.borrow();
        policy.intercept.as_ref().filter(|intercept| intercept.is_about(host, port)).cloned()
    }

    /// Whether an address is known to be a name's. One in use stays known.
    pub(super) fn is_named(&self, name: &str, ip: IpAddr) -> bool {
        let now = Instant::now();
        let mut learned = self.learned.borrow_mut();
        let known = learned.get_mut(&ip).into_iter().flatten();
        let Some(known) = known.into_iter().find(|l| *l.name == *name && l.until > now) else {
            return false;
        };
        known.until = known.until.max(now + self.min_ttl);
        true
    }

    /// Where a TCP connection goes that the policy sends elsewhere.
    pub(super) fn detour(&self, to: SocketAddr) -> Option<Way> {
        self.policy.borrow().detour(to).map(Way::Out)
    }

    /// Where a connection or a datagram to `to` goes.
    pub(super) fn way(&self, to: SocketAddr) -> Way {
        let (ip, port) = (to.ip(), to.port());
        if Addresses::is_dns(ip) {
            return if port == DNS_PORT { Way::Dns } else { Way::Denied };
        }
        let policy = self.policy.borrow();
        if policy.mode == Mode::None {
            return Way::Denied;
        }
        if Addresses::is_gateway(ip) && policy.grants_host_port(port) {
            return Way::Host(port);
        }
        if port == DNS_PORT && policy.mode == Mode::Allowlist {
            return Way::Dns;
        }
        if policy.allows_address(ip, port) || self.was_learned(&policy, ip, port) {
            return Way::Out(to);
        }
        Way::Denied
    }

    /// Whether an echo request may go to an address. A rule must be for every port.
    pub(super) fn echo(&self, ip: IpAddr) -> bool {
        let policy = self.policy.borrow();
        policy.allows_address(ip, 0) || self.was_learned(&policy, ip, 0)
    }

    /// Whether a name may be resolved. It is in lower case without a final dot.
    pub(super) fn resolves(&self, name: &str) -> bool {
        self.policy.borrow().allows_name(name)
    }

    /// Remembers that `name` has these addresses, each with its TTL in seconds. Special addresses
    /// are not learned: a name must not lead to what only its own number opens.
    pub(super) fn learn(&self, name: &str, addresses: &[(IpAddr, u32)]) {
        let now = Instant::now();
        let mut learned = self.learned.borrow_mut();
        for (ip, ttl) in addresses.iter().filter(|(ip, _)| !Policy::is_special(*ip)) {
            let until = now + self.min_ttl.max(Duration::from_secs(u64::from(*ttl)));
            let known = learned.entry(*ip).or_default();
            if let Some(known) = known.iter_mut().find(|l| *l.name == *name) {
                known.until = known.until.max(until);
                continue;
            }
            if known.len() >= MAX_AT_ONE {
                let oldest = known.iter().enumerate().min_by_key(|(_, l)| l.until);
                if let Some(oldest) = oldest.map(|(at, _)| at) {
                    known.swap_remove(oldest);
                    self.count.update(|n| n - 1);
                }
            }
            known.push(Learned { name: name.into(), until });
            self.count.update(|n| n + 1);
        }
        if self.count.get() > MAX_LEARNED {
            make_room(&mut learned, now);
            self.count.set(learned.values().map(Vec::len).sum());
        }
    }

    /// Whether an allowed name led to the address. One in use stays allowed: a program that
    /// resolved its server once, and connects to it every minute, must not lose it when the TTL
    /// ends.
    fn was_learned(&self, policy: &Policy, ip: IpAddr, port: u16) -> bool {
        let now = Instant::now();
        let mut learned = self.learned.borrow_mut();
        let Some(known) = learned.get_mut(&ip) else { return false };
        let mut allowed = false;
        for entry in known.iter_mut().filter(|l| l.until > now) {
            if policy.allows_port_of(&entry.name, port) {
                entry.until = entry.until.max(now + self.min_ttl);
                allowed = true;
            }
        }
        allowed
    }
}

/// Drops what has run out, and then as much of the oldest as it takes to be at half the limit.
fn make_room(learned: &mut HashMap<IpAddr, Vec<Learned>>, now: Instant) {
    let mut ends: Vec<_> = learned.values().flatten().map(|l| l.until).collect();
    ends.sort_unstable();
    let cut = ends.get(ends.len() / 2).copied().unwrap_or(now).max(now);
    for known in learned.values_mut() {
        known.retain(|l| l.until > cut);
    }
    learned.retain(|_, known| !known.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(mode: Mode, rules: &[&str]) -> Gate {
        let allow = rules.iter().map(|r| r.parse().unwrap()).collect();
        Gate::new(Policy { mode, allow, ..Policy::default() }, Duration::from_secs(300))
    }

    fn way(gate: &Gate, to: &str) -> Way {
        gate.way(to.parse().unwrap())
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_names_addresses_are_open_at_its_rules_ports_only() {
        let gate = gate(Mode::Allowlist, &["*.example.com:443", "b.example.com:22"]);
        assert_eq!(way(&gate, "203.0.113.1:443"), Way::Denied);
        gate.learn("a.example.com", &[(ip("203.0.113.1"), 60)]);
        assert_eq!(way(&gate, "203.0.113.1:443"), Way::Out("203.0.113.1:443".parse().unwrap()));
        assert_eq!(way(&gate, "203.0.113.1:22"), Way::Denied);
        gate.learn("b.example.com", &[(ip("203.0.113.1"), 60)]);
        assert_ne!(way(&gate, "203.0.113.1:22"), Way::Denied);
    }

    #[test]
    fn a_name_that_points_at_the_host_opens_nothing() {
        let gate = gate(Mode::Allowlist, &["evil.example.com"]);
        for special in ["127.0.0.1", "169.254.169.254", "::1", "::ffff:127.0.0.1", "198.51.100.1"] {
            gate.learn("evil.example.com", &[(ip(special), 60)]);
            assert_eq!(gate.way(SocketAddr::new(ip(special), 80)), Way::Denied, "{special}");
        }
    }

    #[test]
    fn what_was_learned_ends_unless_it_is_used() {
        let allow = vec!["a.example.com:443".parse().unwrap()];
        let gate = Gate::new(Policy::allowlist(allow), Duration::ZERO);
        gate.learn("a.example.com", &[(ip("203.0.113.1"), 0)]);
        assert_eq!(way(&gate, "203.0.113.1:443"), Way::Denied);
    }

    #[test]
    fn dns_is_ours_under_an_allowlist_and_everybodys_when_open() {
        assert_eq!(way(&gate(Mode::Allowlist, &[]), "8.8.8.8:53"), Way::Dns);
        assert_eq!(way(&gate(Mode::Open, &[]), "198.51.100.3:53"), Way::Dns);
        assert_ne!(way(&gate(Mode::Open, &[]), "8.8.8.8:53"), Way::Dns);
        assert_eq!(way(&gate(Mode::Open, &[]), "198.51.100.3:80"), Way::Denied);
    }

    #[test]
    fn the_gateway_is_the_hosts_loopback_where_granted() {
        let gate = gate(Mode::Open, &["localhost:5432"]);
        assert_eq!(way(&gate, "198.51.100.1:5432"), Way::Host(5432));
        assert_eq!(way(&gate, "[fd61:7465:6c69::1]:5432"), Way::Host(5432));
        assert_eq!(way(&gate, "198.51.100.1:5433"), Way::Denied);
        assert_eq!(way(&gate, "127.0.0.1:5432"), Way::Denied);
    }

    #[test]
    fn the_table_of_what_was_learned_stays_small() {
        let gate = gate(Mode::Allowlist, &["*.example.com"]);
        for n in 0..20_000_u32 {
            gate.learn("a.example.com", &[(IpAddr::V4((0x0a00_0000 + n).into()), 60 + n)]);
        }
        assert!(gate.learned.borrow().len() <= MAX_LEARNED + 1);
        assert_ne!(way(&gate, "10.0.78.31:1"), Way::Denied, "the newest stays");
        for n in 0..20_000_u32 {
            gate.learn(&format!("n{n}.example.com"), &[(ip("203.0.113.1"), 60)]);
        }
        assert_eq!(gate.learned.borrow()[&ip("203.0.113.1")].len(), MAX_AT_ONE);
    }

    #[test]
    fn a_names_address_is_open_though_its_network_is_denied() {
        let gate = gate(Mode::Open, &["a.test:443"]);
        let deny = ["0.0.0.0/0", "::/0"].map(|r| r.parse().unwrap()).to_vec();
        let policy = gate.policy.borrow().clone();
        gate.replace(Policy { deny, ..policy });
        gate.learn("b.test", &[(ip("203.0.113.1"), 60)]);
        assert_eq!(way(&gate, "203.0.113.1:443"), Way::Denied, "another name's");
        gate.learn("a.test", &[(ip("203.0.113.1"), 60)]);
        assert_ne!(way(&gate, "203.0.113.1:443"), Way::Denied);
        assert_eq!(way(&gate, "203.0.113.1:80"), Way::Denied, "another port");
    }

    #[test]
    fn what_was_learned_before_counts_under_a_new_policy() {
        let gate = gate(Mode::Open, &[]);
        gate.learn("a.test", &[(ip("203.0.113.1"), 60)]);
        gate.replace(Policy::allowlist(vec!["a.test:443".parse().unwrap()]));
        assert_ne!(way(&gate, "203.0.113.1:443"), Way::Denied);
        assert_eq!(way(&gate, "203.0.113.2:443"), Way::Denied);
        gate.replace(Policy::none());
        assert_eq!(way(&gate, "203.0.113.1:443"), Way::Denied);
    }

    #[test]
    fn a_detour_is_for_its_address_and_port_and_ends_with_the_network() {
        let gate = gate(Mode::Open, &[]);
        let [from, to] = ["10.224.0.9:5432", "127.0.0.1:49153"].map(|at| at.parse().unwrap());
        let detours = vec![crate::Detour { from, to }];
        gate.replace(Policy { detours: detours.clone(), ..Policy::default() });
        assert_eq!(gate.detour(from), Some(Way::Out(to)));
        assert_eq!(gate.detour("10.224.0.9:5433".parse().unwrap()), None);
        assert_eq!(gate.way(to), Way::Denied, "its end is not open by itself");
        gate.replace(Policy { detours, ..Policy::none() });
        assert_eq!(gate.detour(from), None);
    }
}
