//! The proxy between real clients and real upstreams, on loopback.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod connections;
mod faults;
mod requests;
mod smuggling;
mod streaming;
mod support;
mod tls;
mod upgrades;
