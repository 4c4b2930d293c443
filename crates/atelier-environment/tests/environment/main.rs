//! Environments as their users see them: real projects, real git, and where it matters the
//! kernel's own view of the layers, mounted in a namespace that ends with the test's process.

#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests end the test")]

mod apply;
mod bad_input;
mod branch;
mod config;
mod create;
mod diff;
mod property;
mod speed;
mod support;
mod sync;
