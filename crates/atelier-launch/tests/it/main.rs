//! Launches of real sandboxes, as root and as an ordinary user.
#![allow(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod confinement;
mod harness;
mod hiding;
mod image;
mod image_escapes;
mod image_users;
mod lifecycle;
mod surroundings;
mod view;
