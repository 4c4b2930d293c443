//! What this crate does with real servers and clients, and with bad ones.

// A test that can't go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod asked;
mod bad_servers;
mod bridge;
mod conformance;
mod inspector;
mod permission;
mod real_servers;
mod remote;
mod served;
mod support;
