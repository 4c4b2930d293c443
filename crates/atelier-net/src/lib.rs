//! A sandbox's way to the network.
//!
//! Each sandbox has a network namespace of its own with one TUN device in it
//! ([`configure_inside`] makes it). A small process outside, the network stack ([`run`], feature
//! `stack`), reads the packets from that device and carries the connections out through ordinary
//! sockets of the host, as far as the [`Policy`] allows. So it works the same for root and for an
//! ordinary user, leaves nothing behind on the host (no veth, no firewall rules), and cannot be
//! bypassed from inside: there is no other way out of the namespace.
//!
//! What must not live here: names and ingress of environments, and anything that starts processes.

mod addresses;
mod error;
mod inside;
mod policy;
#[cfg(feature = "stack")]
mod stack;

pub use addresses::Addresses;
pub use error::NetError;
pub use inside::{DEVICE, configure_inside, configure_link, loopback_up};
pub use policy::{Mode, Network, Policy, Ports, Rule, Target};
#[cfg(feature = "stack")]
pub use stack::{Options, run};
