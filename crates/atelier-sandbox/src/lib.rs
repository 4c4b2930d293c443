//! Sandboxes: isolated machines, the runtimes that make them, and the way into them.
//!
//! Files of a project are not this crate's business: it mounts what it is told to.

mod cgroup;
mod command;
mod disk;
mod error;
mod guest_binary;
mod process;
mod reconcile;
mod runtime;
mod runtimes;
mod service;
mod spec;
mod store;

pub use atelier_guest::client::Guest;
pub use cgroup::{Cgroup, LimitEvents};
pub use error::SandboxError;
pub use reconcile::Reconciled;
pub use runtime::{Capabilities, Running, Runtime, StartRequest, runtimes};
pub use runtimes::host::HostRuntime;
pub use service::{Live, Places, Sandboxes};
pub use spec::{Folders, SandboxSpec};
