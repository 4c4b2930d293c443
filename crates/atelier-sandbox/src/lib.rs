//! Sandboxes: isolated machines, the runtimes that make them, and the way into them.
//!
//! Files of a project are not this crate's business: it mounts what it is told to.

mod cgroup;
mod command;
mod disk;
mod error;
mod fleet;
mod guest_binary;
mod process;
mod reconcile;
mod repository;
mod runtime;
mod runtimes;
mod sane;
mod service;
mod shell;
mod spec;
mod store;
mod tail;

pub use atelier_guest::client::Guest;
pub use atelier_image::ImageStore;
pub use cgroup::{Cgroup, LimitEvents, Usage};
pub use error::SandboxError;
pub use fleet::{Entrance, Fleet, FleetDefaults, FleetEvent, FleetFolders};
pub use reconcile::Reconciled;
pub use runtime::{Capabilities, Running, Runtime, StartRequest, Target, runtimes};
pub use runtimes::host::HostRuntime;
pub use sane::check_options;
pub use service::{End, Live, Places, Sandboxes};
pub use spec::{Folders, Root, SandboxSpec};
