//! The command line as its users meet it.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::type_complexity)]

mod commands;
mod copies;
mod inside;
mod machine;
mod run;
mod sandboxes;
mod support;
mod terminal;
