//! Descriptors that the runtime watches.

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// Lets the runtime watch an owned descriptor.
pub(super) fn watched<T: AsFd + AsRawFd + 'static>(
    descriptor: T,
    interest: Interest,
) -> io::Result<AsyncFd<T>> {
    // SAFETY: `AsFd` and `'static` mean that it stays open, and the same, for as long as it lives.
    let registered = unsafe { AsyncFd::register_with_interest(descriptor, interest) };
    registered.map_err(io::Error::from)
}
