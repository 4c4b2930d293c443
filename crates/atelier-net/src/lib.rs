//! A sandbox's way to the network.
//!
//! A small process outside of each sandbox, the network stack ([`run`], feature `stack`), has one
//! end of a [`Link`]; the sandbox has the other and no other way out. The stack reads the packets
//! and carries the connections out through ordinary sockets of the host, as far as the [`Policy`]
//! allows. So it works the same for root and for an ordinary user, leaves nothing behind on the
//! host (no veth, no firewall rules), and cannot be bypassed from inside.
//!
//! | link | made by | the sandbox's end | for |
//! |---|---|---|---|
//! | TUN | [`configure_inside`] | `eth0` in a network namespace | programs of the host |
//! | TAP | [`configure_tap`] | `eth0` in a network namespace, with a hardware address | gVisor, which takes the device over |
//! | wire | [`configure_wire`] | a TAP device that the program opens by its name | Firecracker |
//! | pair | [`wire_pair`] | an inherited socket, one frame a message; needs no namespace | QEMU |
//!
//! The addresses are those of [`Addresses`] on each of them. On an Ethernet link (all but TUN) the
//! sandbox has [`Addresses::SANDBOX_MAC`], every other address is at [`Addresses::GATEWAY_MAC`],
//! and there is neither DHCP nor router advertisement: whoever boots the guest sets its addresses,
//! its default routes and the MTU of the link.
//!
//! From outside, the sandbox is reached through Unix sockets ([`Options::dial`]), and the stack
//! through a socket of its own ([`control`]).
//!
//! What must not live here: names and ingress of environments, and anything that starts processes.

mod addresses;
pub mod control;
mod error;
pub mod handover;
mod inside;
#[cfg(feature = "stack")]
mod link;
mod policy;
#[cfg(feature = "stack")]
mod stack;

pub use addresses::Addresses;
pub use error::NetError;
pub use inside::{
    DEVICE, configure_inside, configure_link, configure_tap, configure_wire, loopback_up, wire_pair,
};
#[cfg(feature = "stack")]
pub use link::Link;
pub use policy::{Detour, Intercept, Mode, Network, Policy, Ports, Rule, Target};
#[cfg(feature = "stack")]
pub use stack::{Options, run};
