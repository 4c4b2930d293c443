//! One rule of an allowlist: `HOST:PORT` and its spellings.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Network;
use crate::{Addresses, NetError};

/// What a rule is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Everything (`*`), special addresses excepted.
    Any,
    /// One name, in lower case.
    Name(String),
    /// All names below one (`*.example.com`), in lower case and without the star.
    Below(String),
    /// An address or a network.
    Network(Network),
    /// The host's own loopback, which a sandbox reaches as `host.atelier.internal`.
    Host,
}

/// The ports of a rule, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ports {
    /// The lowest.
    pub first: u16,
    /// The highest.
    pub last: u16,
}

/// One rule: a target and its ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rule {
    /// What it is about.
    pub target: Target,
    /// The ports there.
    pub ports: Ports,
}

impl Target {
    pub(super) fn contains(&self, ip: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::Network(net) => net.contains(ip),
            Self::Name(_) | Self::Below(_) | Self::Host => false,
        }
    }

    /// Whether a name is meant by it. The name is in lower case without a final dot.
    #[must_use]
    pub fn names(&self, name: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Name(own) => own == name,
            Self::Below(parent) => {
                name.strip_suffix(parent.as_str()).is_some_and(|rest| rest.ends_with('.'))
            }
            Self::Network(_) | Self::Host => false,
        }
    }
}

impl Rule {
    /// Whether a port of a host is meant, by the name that requests give it: in lower case without
    /// a final dot.
    #[must_use]
    pub fn is_about(&self, host: &str, port: u16) -> bool {
        let named = match self.target {
            Target::Host => host == Addresses::HOST_NAME,
            ref other => other.names(host),
        };
        named && self.ports.contains(port)
    }
}

impl Ports {
    /// Every port.
    pub const ALL: Self = Self { first: 0, last: u16::MAX };

    /// Whether a port is one of them.
    #[must_use]
    pub const fn contains(self, port: u16) -> bool {
        self.first <= port && port <= self.last
    }
}

impl FromStr for Rule {
    type Err = NetError;

    fn from_str(rule: &str) -> Result<Self, NetError> {
        let (host, port) = split(rule)?;
        let ports = port.map_or(Ok(Ports::ALL), |port| {
            parse_ports(port).map_err(|why| NetError::BadPort {
                rule: rule.to_owned(),
                port: port.to_owned(),
                why,
            })
        })?;
        let target = parse_host(host).map_err(|why| NetError::BadHost {
            rule: rule.to_owned(),
            host: host.to_owned(),
            why,
        })?;
        Ok(Self { target, ports })
    }
}

/// The host and the port of a rule. A bare IPv6 address is a host without a port.
fn split(rule: &str) -> Result<(&str, Option<&str>), NetError> {
    let (host, port) = if let Some(rest) = rule.strip_prefix('[') {
        let (host, after) = rest.split_once(']').ok_or_else(|| NetError::BadHost {
            rule: rule.to_owned(),
            host: rule.to_owned(),
            why: "missing its closing bracket",
        })?;
        match after.strip_prefix(':') {
            Some(port) => (host, Some(port)),
            None if after.is_empty() => (host, None),
            None => {
                return Err(NetError::BadPort {
                    rule: rule.to_owned(),
                    port: after.to_owned(),
                    why: "no port: a colon comes before it",
                });
            }
        }
    } else if rule.parse::<Network>().is_ok() {
        (rule, None)
    } else {
        match rule.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (rule, None),
        }
    };
    if host.is_empty() {
        return Err(NetError::NoHost { rule: rule.to_owned() });
    }
    Ok((host, port))
}

fn parse_ports(text: &str) -> Result<Ports, &'static str> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(n) if n > 0 => Ok(n),
        _ => Err("no port: ports are 1 to 65535, or a range such as 8000-9000"),
    };
    match text.split_once('-') {
        None if text == "*" => Ok(Ports::ALL),
        None => number(text).map(|n| Ports { first: n, last: n }),
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last {
                return Err("an empty range: its end is below its start");
            }
            Ok(Ports { first, last })
        }
    }
}

fn parse_host(text: &str) -> Result<Target, &'static str> {
    if text == "*" {
        return Ok(Target::Any);
    }
    match text.parse::<Network>() {
        Ok(net) if net.first().is_loopback() && net.last().is_loopback() => Ok(Target::Host),
        Ok(net) if net.is_single() && super::ranges::never(net.first()) => {
            Err("an address that nothing can be reached at")
        }
        Ok(net) => Ok(Target::Network(net)),
        Err(why) if text.contains(['/', ':']) => Err(why),
        Err(_) => parse_name(&text.to_ascii_lowercase()),
    }
}

fn parse_name(text: &str) -> Result<Target, &'static str> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let (name, below) = match text.strip_prefix("*.") {
        Some(name) => (name, true),
        None => (text, false),
    };
    let label = |l: &str| {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        !l.is_empty() && l.len() <= 63 && l.bytes().all(allowed) && !l.starts_with('-')
    };
    if name.len() > 253 || !name.split('.').all(label) {
        return Err(
            "no host name; a star may stand for the first labels only, as in *.example.com",
        );
    }
    if name.bytes().all(|b| b.is_ascii_digit() || b == b'.') {
        return Err("no IP address");
    }
    match name {
        "localhost" | Addresses::HOST_NAME if !below => Ok(Target::Host),
        _ if below => Ok(Target::Below(name.to_owned())),
        _ => Ok(Target::Name(name.to_owned())),
    }
}

impl TryFrom<String> for Rule {
    type Error = NetError;
    fn try_from(text: String) -> Result<Self, NetError> {
        text.parse()
    }
}

impl From<Rule> for String {
    fn from(rule: Rule) -> Self {
        rule.to_string()
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Any => f.write_str("*")?,
            Target::Name(name) => f.write_str(name)?,
            Target::Below(name) => write!(f, "*.{name}")?,
            Target::Network(net) if net.first().is_ipv6() => write!(f, "[{net}]")?,
            Target::Network(net) => write!(f, "{net}")?,
            Target::Host => f.write_str(Addresses::HOST_NAME)?,
        }
        match self.ports {
            Ports::ALL => Ok(()),
            Ports { first, last } if first == last => write!(f, ":{first}"),
            Ports { first, last } => write!(f, ":{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(rule: &str) -> String {
        rule.parse::<Rule>().unwrap().to_string()
    }

    #[test]
    fn every_spelling_is_read_and_written_back() {
        let same = [
            "github.com:443",
            "github.com",
            "*.example.com:443",
            "10.0.0.0/8:5432",
            "10.0.0.0/8",
            "1.1.1.1:53",
            "[2001:db8::1]:80",
            "[2001:db8::/32]:80",
            "host:8000-9000",
            "my_service.internal:1",
            "*:443",
            "*",
            "0.0.0.0/0:443",
            "[::/0]:443",
        ];
        for rule in same {
            assert_eq!(shown(rule), rule);
        }
        assert_eq!(shown("GitHub.COM.:443"), "github.com:443");
        assert_eq!(shown("2001:db8::1"), "[2001:db8::1]");
        assert_eq!(shown("10.1.2.3/8"), "10.0.0.0/8");
        assert_eq!(shown("a:*"), "a");
    }

    #[test]
    fn loopback_in_every_spelling_is_the_hosts() {
        for rule in ["localhost:5432", "127.0.0.1:5432", "[::1]:5432", "host.atelier.internal:5432"]
        {
            assert_eq!(rule.parse::<Rule>().unwrap().target, Target::Host, "{rule}");
        }
    }

    #[test]
    fn a_star_means_the_names_below_and_not_the_name() {
        let rule: Rule = "*.example.com:443".parse().unwrap();
        assert!(rule.target.names("a.example.com") && rule.target.names("a.b.example.com"));
        assert!(!rule.target.names("example.com") && !rule.target.names("badexample.com"));
    }

    #[test]
    fn a_bad_rule_says_what_is_wrong_with_it() {
        let says = |rule: &str| rule.parse::<Rule>().unwrap_err().to_string();
        assert!(says("").contains("host is missing"));
        assert!(says(":443").contains("host is missing"));
        assert!(says("a:0").contains("\"0\" is no port"));
        assert!(says("a:http").contains("\"http\" is no port"));
        assert!(says("a:70000").contains("1 to 65535"));
        assert!(says("a:9-8").contains("empty range"));
        assert!(
            says("https://a.b").contains("no IP address")
                || says("https://a.b").contains("no port")
        );
        assert!(says("[::1:80").contains("closing bracket"));
        assert!(says("a*.b:1").contains("no host name"));
        assert!(says("10.0.0.0/40:1").contains("prefix"));
        assert!(says("10.0.0:1").contains("no IP address"));
        assert!(says("0.0.0.0:80").contains("nothing can be reached"));
        assert!(says("224.0.0.1").contains("nothing can be reached"));
    }
}
