//! What has passed, for whoever draws a sandbox's network over time.

use std::cell::Cell;

/// Numbers that only grow.
#[derive(Debug, Default)]
pub(super) struct Counters {
    sent: Cell<u64>,
    received: Cell<u64>,
    connections: Cell<u64>,
}

impl Counters {
    /// Notes a packet of the sandbox.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Notes a packet to the sandbox.
    pub(super) fn received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// Notes a TCP connection that the sandbox may open.
    pub(super) fn connection(&self) {
        self.connections.set(self.connections.get() + 1);
    }

    /// All of them, with the number of refusals, which somebody else counts.
    pub(super) fn read(&self, denied: u64) -> crate::control::Counters {
        crate::control::Counters {
            sent: self.sent.get(),
            received: self.received.get(),
            connections: self.connections.get(),
            denied,
        }
    }
}
