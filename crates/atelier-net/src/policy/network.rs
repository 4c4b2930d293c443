//! A network: an address and a prefix length.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// An address with the length of its prefix in bits; a single address has all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    first: IpAddr,
    prefix: u8,
}

impl Network {
    /// The network that `ip` lies in. `None` when the prefix is longer than the address.
    #[must_use]
    pub const fn new(ip: IpAddr, prefix: u8) -> Option<Self> {
        let first = match ip {
            IpAddr::V4(ip) if prefix <= 32 => {
                IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() & mask4(prefix)))
            }
            IpAddr::V6(ip) if prefix <= 128 => {
                IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() & mask6(prefix)))
            }
            _ => return None,
        };
        Some(Self { first, prefix })
    }

    /// One address.
    #[must_use]
    pub const fn single(ip: IpAddr) -> Self {
        let prefix = if ip.is_ipv4() { 32 } else { 128 };
        Self { first: ip, prefix }
    }

    /// The lowest address.
    #[must_use]
    pub const fn first(&self) -> IpAddr {
        self.first
    }

    /// The highest address.
    #[must_use]
    pub const fn last(&self) -> IpAddr {
        match self.first {
            IpAddr::V4(ip) => IpAddr::V4(Ipv4Addr::from_bits(ip.to_bits() | !mask4(self.prefix))),
            IpAddr::V6(ip) => IpAddr::V6(Ipv6Addr::from_bits(ip.to_bits() | !mask6(self.prefix))),
        }
    }

    /// Whether an address lies in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        Self::new(ip, self.prefix).is_some_and(|net| net.first == self.first)
            && ip.is_ipv4() == self.first.is_ipv4()
    }

    pub(super) const fn is_single(&self) -> bool {
        self.prefix == if self.first.is_ipv4() { 32 } else { 128 }
    }
}

const fn mask4(prefix: u8) -> u32 {
    if prefix == 0 { 0 } else { u32::MAX << (32 - prefix) }
}

const fn mask6(prefix: u8) -> u128 {
    if prefix == 0 { 0 } else { u128::MAX << (128 - prefix) }
}

impl FromStr for Network {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (ip, prefix) = match text.split_once('/') {
            Some((ip, prefix)) => (ip, Some(prefix)),
            None => (text, None),
        };
        let ip: IpAddr = ip.parse().map_err(|_| "no IP address")?;
        let Some(prefix) = prefix else { return Ok(Self::single(ip)) };
        let prefix = prefix.parse().map_err(|_| "no network: its prefix is no number")?;
        Self::new(ip, prefix).ok_or("no network: its prefix is longer than the address")
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_single() {
            self.first.fmt(f)
        } else {
            write!(f, "{}/{}", self.first, self.prefix)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_has_its_ends_and_what_is_between() {
        let net: Network = "10.1.2.3/8".parse().unwrap();
        assert_eq!(net.to_string(), "10.0.0.0/8");
        assert_eq!(net.last().to_string(), "10.255.255.255");
        assert!(net.contains("10.9.9.9".parse().unwrap()));
        assert!(!net.contains("11.0.0.0".parse().unwrap()));
        let all: Network = "::/0".parse().unwrap();
        assert!(all.contains("2001:db8::1".parse().unwrap()));
        assert!(!all.contains("10.0.0.1".parse().unwrap()), "the families are apart");
    }

    #[test]
    fn what_is_no_network_is_refused() {
        for bad in ["10.0.0.0/33", "::/129", "10.0.0/8", "10.0.0.0/x", ""] {
            assert!(bad.parse::<Network>().is_err(), "{bad}");
        }
    }
}
