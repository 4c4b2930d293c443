//! What joins a sandbox to its network stack.

use std::os::fd::OwnedFd;

/// The stack's end of a sandbox's network. Each read and each write of it is one packet or frame.
#[derive(Debug)]
pub enum Link {
    /// A TUN device: IP packets. [`configure_inside`](crate::configure_inside) makes one.
    Ip(OwnedFd),
    /// Ethernet frames.
    Ethernet {
        /// A TAP device without a header of its own (`IFF_NO_PI`), a raw packet socket that is
        /// bound to a device, or one of a pair of Unix sockets that keep messages apart. See
        /// [`configure_tap`](crate::configure_tap), [`configure_wire`](crate::configure_wire) and
        /// [`wire_pair`](crate::wire_pair).
        device: OwnedFd,
        /// The longest IP packet that the other end takes: what its own device is set to.
        mtu: u16,
    },
}
