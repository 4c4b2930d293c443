//! The SSH server as OpenSSH's own programs see it, before a real guest with real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod commands;
mod files;
mod forwards;
mod harness;
mod streams;
mod terminals;
