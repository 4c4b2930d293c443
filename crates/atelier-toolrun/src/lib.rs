//! Tools at work: their settings and secrets (`secrets/`), their services and servers (`lifecycle/`),
//! their data (`data/`), and their places in coding agents (`wire/`).
//!
//! What is installed, and from where, is `atelier-tools`' business. Nothing here prints or asks.

pub mod data;
mod file;
pub mod lifecycle;
pub mod secrets;
pub mod wire;

pub use file::FileError;
pub(crate) use file::OfFile;

pub(crate) use atelier_tools::{Home, Hooks, Result, Slug, ToolsError, shim};
