//! End to end: every test goes through the real binary, as a person does. Each has a home folder, a
//! project and a control plane of its own, and takes them away again.
//!
//! `X Y` of the command line is tested in `X/Y.rs`; `faults` is bad input and bad days; `support`
//! is the harness.

// A test that can't go on says so by a panic.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
// Tests of services are run twice: with Compose and without it.
#![allow(clippy::duplicate_mod)]

mod dns;
mod e2b;
mod env;
mod examples;
mod far;
mod faults;
mod hostnames;
mod image;
mod podman;
mod run;
mod sandbox;
mod security;
mod services;
/// The same on an engine without Compose.
#[path = "services/mod.rs"]
mod services_without_compose;
mod support;
mod system;
mod template;
mod token;
mod tool;
mod volume;
mod without_compose;
