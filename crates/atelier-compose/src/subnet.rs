//! Subnets as an address and a length, cut into equal parts.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

macro_rules! subnet {
    ($name:ident, $address:ty, $number:ty, $bits:literal, $doc:literal) => {
        #[doc = $doc]
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name {
            address: $address,
            length: u8,
        }

        impl $name {
            /// The subnet that holds `address`. None when the length is not one.
            #[must_use]
            pub fn new(address: $address, length: u8) -> Option<Self> {
                if length > $bits {
                    return None;
                }
                let mask = <$number>::MAX.checked_shl($bits - u32::from(length)).unwrap_or(0);
                Some(Self { address: (<$number>::from(address) & mask).into(), length })
            }

            /// Its first address.
            #[must_use]
            pub const fn address(self) -> $address {
                self.address
            }

            /// How many leading bits are fixed.
            #[must_use]
            pub const fn length(self) -> u8 {
                self.length
            }

            /// The address that many behind the first. None outside of the subnet.
            #[must_use]
            pub fn host(self, offset: u64) -> Option<$address> {
                let offset = <$number>::try_from(offset).ok()?;
                let own = <$number>::MAX.checked_shr(u32::from(self.length)).unwrap_or(0);
                (offset <= own).then(|| (<$number>::from(self.address) + offset).into())
            }

            /// One of the 2^`more` equal parts, from 0.
            #[must_use]
            pub fn part(self, more: u8, index: u32) -> Option<Self> {
                let length = self.length.checked_add(more).filter(|l| *l <= $bits)?;
                if u64::from(index) >= 1_u64.checked_shl(u32::from(more))? {
                    return None;
                }
                let step = <$number>::from(index).checked_shl($bits - u32::from(length));
                let address = <$number>::from(self.address) + step.unwrap_or(0);
                Some(Self { address: address.into(), length })
            }

            /// Whether the address is inside.
            #[must_use]
            pub fn contains(self, address: $address) -> bool {
                Self::new(address, self.length).is_some_and(|other| other == self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}/{}", self.address, self.length)
            }
        }

        impl FromStr for $name {
            type Err = BadSubnet;

            fn from_str(text: &str) -> Result<Self, BadSubnet> {
                let bad = || BadSubnet(text.to_owned());
                let (address, length) = text.split_once('/').ok_or_else(bad)?;
                let length = length.parse().map_err(|_| bad())?;
                Self::new(address.parse().map_err(|_| bad())?, length).ok_or_else(bad)
            }
        }

        impl TryFrom<String> for $name {
            type Error = BadSubnet;

            fn try_from(text: String) -> Result<Self, BadSubnet> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(subnet: $name) -> Self {
                subnet.to_string()
            }
        }
    };
}

subnet!(SubnetV4, Ipv4Addr, u32, 32, "An IPv4 subnet; as text `10.224.7.0/24`.");
subnet!(SubnetV6, Ipv6Addr, u128, 128, "An IPv6 subnet; as text `fd00:1:2:7::/64`.");

/// A text that is no subnet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no subnet such as 10.224.7.0/24")]
pub struct BadSubnet(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subnet_is_cut_into_parts_and_counts_its_hosts() {
        let net: SubnetV4 = "10.224.7.9/24".parse().unwrap();
        assert_eq!(net.to_string(), "10.224.7.0/24");
        assert_eq!(net.part(1, 1).unwrap().to_string(), "10.224.7.128/25");
        assert_eq!(net.part(4, 15).unwrap().to_string(), "10.224.7.240/28");
        assert_eq!(net.part(4, 16), None);
        assert_eq!(net.host(255), Some(Ipv4Addr::new(10, 224, 7, 255)));
        assert_eq!(net.host(256), None);
        assert!(net.contains(Ipv4Addr::new(10, 224, 7, 200)));
        assert!(!net.contains(Ipv4Addr::new(10, 224, 8, 0)));
    }

    #[test]
    fn the_largest_and_the_smallest_subnets_have_no_edge_that_breaks() {
        let all: SubnetV4 = "9.9.9.9/0".parse().unwrap();
        assert_eq!(all.to_string(), "0.0.0.0/0");
        let one: SubnetV6 = "fd00::7/128".parse().unwrap();
        assert_eq!((one.host(0), one.host(1)), (Some("fd00::7".parse().unwrap()), None));
        assert_eq!(one.part(1, 0), None);
        assert!("10.0.0.0/33".parse::<SubnetV4>().is_err());
        assert!("10.0.0.0".parse::<SubnetV4>().is_err());
    }
}
