//! Real QEMU machines, emulated where KVM does not work. Each test says so and passes where the
//! host has no QEMU or no kernel for them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod boot;
mod copies;
mod host;
