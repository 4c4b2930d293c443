//! The Firecracker driver against a peer that keeps Firecracker's rules; and against Firecracker
//! itself where it is installed and KVM boots machines.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod driver;
mod jail;
mod peer;
mod rules;
