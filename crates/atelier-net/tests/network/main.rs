//! The network stack with real network namespaces and real sockets: what a program in a sandbox
//! sees. Nothing leaves the machine. It needs root or a user namespace, and `/dev/net/tun`.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "the helpers of tests are tests")]

mod allowlist;
mod datagrams;
mod dial;
mod dns;
mod figures;
mod intercept;
mod links;
mod orders;
mod streams;
mod world;
