//! The guest as its clients see it: a real server on a real socket, with real processes.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests fail by panicking"
)]

mod api;
mod files;
mod harness;
mod init_process;
mod layer;
mod processes;
mod spool;
mod terminals;
mod wire;
