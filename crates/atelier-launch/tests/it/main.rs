//! Launches of real sandboxes, as root and as an ordinary user.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod confinement;
mod harness;
mod hiding;
mod lifecycle;
mod surroundings;
mod view;
