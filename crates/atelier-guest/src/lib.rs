//! The guest: serves processes, terminals, files and health inside a sandbox.
//!
//! [`wire`] is the protocol (that of E2B's in-sandbox daemon, with a few fields of ours), `client`
//! is what the control plane speaks it with, `server` is what answers inside the sandbox. Policy,
//! names of sandboxes and runtimes are not known here.

pub use atelier_wire as wire;

#[cfg(feature = "client")]
pub mod client;

#[cfg(feature = "launch")]
pub mod host;
#[cfg(feature = "launch")]
pub mod outside;

#[cfg(feature = "machine")]
pub mod machine;

#[cfg(feature = "serve")]
pub mod server;

#[cfg(feature = "serve")]
pub use server::{Listener, ServeOptions, serve, serve_on};
