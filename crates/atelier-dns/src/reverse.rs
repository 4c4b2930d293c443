//! Addresses as names (`in-addr.arpa`, `ip6.arpa`), and the ranges that a server answers for.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::{Error, Result};

/// A range of addresses, such as `10.201.0.0/16` or `fd00:a7e1::/32`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    address: IpAddr,
    length: u8,
}

impl Range {
    /// The addresses that share the first `length` bits with this one.
    ///
    /// # Errors
    /// [`Error::Options`] when an address has fewer bits.
    pub fn new(address: IpAddr, length: u8) -> Result<Self> {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        if length > longest {
            return Err(Error::Options(format!("/{length} is longer than {address}")));
        }
        Ok(Self { address, length })
    }

    /// How many labels in front of `arpa` it takes until a name is inside the range for sure.
    fn labels(self) -> usize {
        usize::from(self.length.div_ceil(if self.address.is_ipv4() { 8 } else { 4 }))
    }

    fn contains(self, address: IpAddr) -> bool {
        match (self.address, address) {
            (IpAddr::V4(a), IpAddr::V4(b)) => {
                let mask = u32::MAX.checked_shl(32 - u32::from(self.length)).unwrap_or(0);
                (a.to_bits() ^ b.to_bits()) & mask == 0
            }
            (IpAddr::V6(a), IpAddr::V6(b)) => {
                let mask = u128::MAX.checked_shl(128 - u32::from(self.length)).unwrap_or(0);
                (a.to_bits() ^ b.to_bits()) & mask == 0
            }
            _ => false,
        }
    }
}

impl FromStr for Range {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parse = || -> Option<(IpAddr, u8)> {
            let (address, length) = text.split_once('/')?;
            Some((address.parse().ok()?, length.parse().ok()?))
        };
        let (address, length) =
            parse().ok_or_else(|| Error::Options(format!("`{text}` is no range of addresses")))?;
        Self::new(address, length)
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// A name below `arpa` that is inside a range.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Inside<'a> {
    /// The zone that it belongs to: the shortest name that is inside the range as a whole.
    pub(crate) apex: &'a str,
    /// The address, when the name is one.
    pub(crate) address: Option<IpAddr>,
    /// Whether it could be an address or lead to one: `x.10.in-addr.arpa` can't.
    pub(crate) possible: bool,
}

/// Reads a name in lower case. `None`: it is in none of the ranges.
pub(crate) fn inside<'a>(name: &'a str, ranges: &[Range]) -> Option<Inside<'a>> {
    let (labels, v4) = match name.strip_suffix(".in-addr.arpa") {
        Some(labels) => (labels, true),
        None => (name.strip_suffix(".ip6.arpa")?, false),
    };
    let whole = if v4 { 4 } else { 32 };
    // The part of the address that the labels give, the most significant first.
    let digits: Vec<Option<u8>> = labels.rsplit('.').map(|l| digit(l, v4)).collect();
    let known = digits.iter().take(whole).take_while(|d| d.is_some()).count();
    let given: Vec<u8> = digits.iter().take(known).copied().flatten().collect();
    let beginning = address(&given, v4);
    let of = |range: &&Range| {
        range.address.is_ipv4() == v4 && known >= range.labels() && range.contains(beginning)
    };
    let range = ranges.iter().filter(of).max_by_key(|range| range.length)?;
    let above = digits.len().saturating_sub(range.labels());
    let apex = name.splitn(above + 1, '.').last().unwrap_or(name);
    let possible = known == digits.len();
    Some(Inside { apex, address: (possible && known == whole).then_some(beginning), possible })
}

fn digit(label: &str, v4: bool) -> Option<u8> {
    let canonical = label.bytes().all(|b| b.is_ascii_hexdigit());
    if v4 {
        let number: u8 = label.parse().ok()?;
        (number.to_string() == label).then_some(number)
    } else {
        (canonical && label.len() == 1).then(|| u8::from_str_radix(label, 16).ok())?
    }
}

/// The address that begins with these octets (IPv4) or hexadecimal digits, the rest zero.
fn address(digits: &[u8], v4: bool) -> IpAddr {
    let bits = if v4 { 8 } else { 4 };
    let size = if v4 { 32 } else { 128 };
    let mut value = 0_u128;
    for (index, digit) in digits.iter().enumerate() {
        value |= u128::from(*digit) << (size - bits * (index + 1));
    }
    match u32::try_from(value) {
        Ok(value) if v4 => Ipv4Addr::from_bits(value).into(),
        _ => Ipv6Addr::from_bits(value).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranges() -> Vec<Range> {
        ["10.64.0.0/10", "10.201.0.0/16", "fd00:a7e1::/32"].map(|r| r.parse().unwrap()).to_vec()
    }

    #[test]
    fn an_address_in_a_range_is_read_with_its_zone() {
        let found = inside("3.0.201.10.in-addr.arpa", &ranges()).unwrap();
        assert_eq!(found.apex, "201.10.in-addr.arpa");
        assert_eq!(found.address, Some("10.201.0.3".parse().unwrap()));
        let found = inside("1.2.65.10.in-addr.arpa", &ranges()).unwrap();
        assert_eq!(found.apex, "65.10.in-addr.arpa");
        let nibbles = "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.1.e.7.a.0.0.d.f.ip6.arpa";
        let found = inside(nibbles, &ranges()).unwrap();
        assert_eq!(found.apex, "1.e.7.a.0.0.d.f.ip6.arpa");
        assert_eq!(found.address, Some("fd00:a7e1::1".parse().unwrap()));
    }

    #[test]
    fn what_is_not_surely_inside_is_outside() {
        for name in ["10.in-addr.arpa", "1.0.0.11.in-addr.arpa", "1.0.128.10.in-addr.arpa", "arpa"]
        {
            assert_eq!(inside(name, &ranges()), None, "{name}");
        }
    }

    #[test]
    fn parts_of_addresses_exist_and_other_labels_do_not() {
        let part = inside("0.201.10.in-addr.arpa", &ranges()).unwrap();
        assert!(part.possible && part.address.is_none());
        for name in
            ["x.201.10.in-addr.arpa", "03.0.201.10.in-addr.arpa", "1.3.0.201.10.in-addr.arpa"]
        {
            assert!(!inside(name, &ranges()).unwrap().possible, "{name}");
        }
    }

    #[test]
    fn ranges_are_read_from_text() {
        assert_eq!("10.0.0.0/8".parse::<Range>().unwrap().to_string(), "10.0.0.0/8");
        for bad in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "x/8"] {
            assert!(bad.parse::<Range>().is_err(), "{bad}");
        }
        assert!(inside("1.2.3.4.in-addr.arpa", &["0.0.0.0/0".parse().unwrap()]).is_some());
    }
}
