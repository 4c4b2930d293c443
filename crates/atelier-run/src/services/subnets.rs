//! Which subnet: the first of the configured range that no environment has, no route of this machine
//! leads into and no network of the engine overlaps.

use std::collections::HashSet;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use atelier_api::{ExitCode, Problem};
use atelier_engine::Engine;
use uuid::Uuid;

use super::store;
use crate::workshop::Workshop;

/// The prefix length of one environment's subnet.
pub(crate) const PREFIX: u8 = 24;
/// The IPv6 subnets of all environments: "atel", then the three first bytes of the IPv4 subnet, so that
/// homes with ranges of their own don't meet here either.
pub(crate) const ALL_V6: (Ipv6Addr, u8) =
    (Ipv6Addr::new(0xfd61, 0x7465, 0x6c00, 0, 0, 0, 0, 0), 40);

/// Addresses of one environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subnet {
    pub(crate) number: u32,
    pub(crate) v4: Ipv4Addr,
    /// Absent on machines without IPv6.
    pub(crate) v6: Option<Ipv6Addr>,
}

/// A range as first and last address.
pub(crate) type Span = (u32, u32);

pub(crate) fn span(first: Ipv4Addr, prefix: u8) -> Span {
    let mask = if prefix == 0 { 0 } else { u32::MAX << (32 - u32::from(prefix.min(32))) };
    let first = first.to_bits() & mask;
    (first, first | !mask)
}

fn overlap(a: Span, b: Span) -> bool {
    a.0 <= b.1 && b.0 <= a.1
}

/// How many subnets a range has.
pub(crate) fn count((_, prefix): (Ipv4Addr, u8)) -> u32 {
    1 << u32::from(PREFIX.saturating_sub(prefix)).min(16)
}

pub(crate) fn subnet(range: (Ipv4Addr, u8), number: u32, ipv6: bool) -> Subnet {
    let v4 = Ipv4Addr::from_bits(span(range.0, range.1).0 + (number << (32 - u32::from(PREFIX))));
    let [a, b, c, _] = v4.octets();
    let (third, fourth) = (u16::from_be_bytes([0x6c, a]), u16::from_be_bytes([b, c]));
    let v6 = ipv6.then(|| Ipv6Addr::new(0xfd61, 0x7465, third, fourth, 0, 0, 0, 0));
    Subnet { number, v4, v6 }
}

/// The first number that is free.
fn first_free(range: (Ipv4Addr, u8), taken: &HashSet<u32>, busy: &[Span]) -> Option<u32> {
    (0..count(range)).find(|number| {
        let own = span(subnet(range, *number, false).v4, PREFIX);
        !taken.contains(number) && !busy.iter().any(|span| overlap(own, *span))
    })
}

/// Where this machine's routes lead, but for the default one.
fn routes() -> Vec<Span> {
    let text = std::fs::read_to_string("/proc/net/route").unwrap_or_default();
    text.lines().skip(1).filter_map(route).collect()
}

/// A line of `/proc/net/route`: interface, destination, gateway, flags, …, mask; in the machine's
/// byte order.
fn route(line: &str) -> Option<Span> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let address = |at: usize| u32::from_str_radix(fields.get(at)?, 16).ok().map(u32::from_be);
    let (first, mask) = (address(1)?, address(7)?);
    (mask != 0).then_some((first & mask, first | !mask))
}

/// The subnets of the engine's networks.
async fn networks(engine: &Engine, own: &str) -> Result<Vec<Span>, Problem> {
    let listed = engine.networks().await?;
    let others = listed.iter().filter(|network| {
        network.labels.get(super::ENVIRONMENT).is_none_or(|environment| environment != own)
    });
    let spans = others.flat_map(|network| &network.subnets).filter_map(|subnet| {
        let (first, prefix) = subnet.split_once('/')?;
        Some(span(first.parse().ok()?, prefix.parse().ok()?))
    });
    Ok(spans.collect())
}

pub(crate) fn has_ipv6() -> bool {
    std::fs::metadata("/proc/net/if_inet6").is_ok_and(|meta| meta.is_file())
        && std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/disable_ipv6")
            .is_ok_and(|text| text.trim() == "0")
}

impl Workshop {
    /// The environment's subnet, claimed now if it has none, or if somebody sits in it since.
    pub(crate) async fn subnet(
        self: &Arc<Self>,
        engine: &Engine,
        environment: Uuid,
        fresh: bool,
    ) -> Result<Subnet, Problem> {
        let range = self.driver.settings.subnets;
        let ipv6 = has_ipv6();
        let _choosing = self.driver.subnets.lock().await;
        let rows = store::list(&self.store).await?;
        let own = rows.iter().find(|row| row.environment == environment);
        let mut busy = networks(engine, &environment.to_string()).await?;
        if let Some(own) = own {
            let spans = span(subnet(range, own.subnet, false).v4, PREFIX);
            let taken = busy.iter().any(|other| overlap(spans, *other));
            if own.subnet < count(range) && !fresh && !taken {
                return Ok(subnet(range, own.subnet, ipv6));
            }
        }
        busy.extend(routes());
        let taken: HashSet<u32> = rows.iter().map(|row| row.subnet).collect();
        let number = first_free(range, &taken, &busy).ok_or_else(|| full(range))?;
        match own {
            Some(_) => store::reclaim(&self.store, environment, number).await?,
            None => drop(store::claim(&self.store, environment, number).await?),
        }
        Ok(subnet(range, number, ipv6))
    }

    /// Takes another subnet for an environment without networks when the one it has is not free any more: another
    /// network overlaps with it, a route leads into it, or it is not in the range.
    pub(crate) async fn leave_foreign_subnet(
        self: &Arc<Self>,
        engine: &Engine,
        environment: Uuid,
    ) -> Result<(), Problem> {
        let Some(own) = store::find(&self.store, environment).await? else { return Ok(()) };
        let spans = span(subnet(self.driver.settings.subnets, own.subnet, false).v4, PREFIX);
        let entered = routes().into_iter().any(|route| overlap(spans, route));
        self.subnet(engine, environment, entered).await.map(drop)
    }
}

fn full((first, prefix): (Ipv4Addr, u8)) -> Problem {
    let detail = format!(
        "no subnet of {first}/{prefix} is free: every one is an environment's, or a route or a network \
         of the container engine leads into it"
    );
    Problem::new("network.no_subnet", ExitCode::Conflict, detail)
        .hint("see who has them: atelier network info")
        .hint("or give another range: 'services.subnets: 10.128.0.0/12' in config.yaml")
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGE: (Ipv4Addr, u8) = (Ipv4Addr::new(10, 224, 0, 0), 12);

    #[test]
    fn there_are_thousands_and_each_is_whole() {
        assert_eq!(count(RANGE), 4096);
        assert_eq!(subnet(RANGE, 256, true).v4, Ipv4Addr::new(10, 225, 0, 0));
        assert_eq!(subnet(RANGE, 4095, true).v4, Ipv4Addr::new(10, 239, 255, 0));
        let v6 = subnet(RANGE, 257, true).v6.unwrap();
        assert_eq!(v6, "fd61:7465:6c0a:e101::".parse::<Ipv6Addr>().unwrap());
    }

    #[test]
    fn the_first_that_nobody_sits_in_is_taken() {
        let taken = HashSet::from([0, 1]);
        let vpn = span(Ipv4Addr::new(10, 224, 2, 0), 23);
        assert_eq!(first_free(RANGE, &taken, &[vpn]), Some(4));
        assert_eq!(first_free(RANGE, &taken, &[span(Ipv4Addr::new(10, 0, 0, 0), 8)]), None);
    }

    #[test]
    fn routes_are_read_in_the_kernels_byte_order_and_the_default_one_is_none() {
        let line = "tun0\t0000E00A\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0";
        assert_eq!(route(line), Some(span(Ipv4Addr::new(10, 224, 0, 0), 16)));
        let default = "eth0\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0";
        assert_eq!(route(default), None);
    }
}
