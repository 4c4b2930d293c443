//! The launcher of the host runtime: namespaces, a copy-on-write view of this machine, confinement.
//!
//! A library for one small static binary. It is synchronous and single-threaded, because it forks
//! and changes namespaces, and it does nothing that a C library would load a plug-in for. What a
//! sandbox serves, how packets flow and how a TUN device is made come in as [`Hooks`]; what a
//! sandbox is called and when it is started is the control plane's business.
//!
//! The way of a launch: [`launch`] enters the cgroups, forks the network stack's helper, makes
//! the user and process namespaces and forks PID 1, which makes the other namespaces, assembles
//! the view (`view`, `system`, `hide`), pivots into it, gives up its powers (`confine`,
//! `filter`) and serves.

mod cgroup;
mod confine;
mod error;
mod filter;
pub mod grants;
mod hide;
mod init;
mod instance;
mod launch;
mod layers;
mod mountinfo;
mod namespace;
mod probe;
mod root;
mod spec;
mod sys;
mod system;
mod view;
pub mod wire;

pub use error::{LaunchError, Result};
pub use instance::{Instance, Process};
pub use launch::{Hooks, Served, launch, receive_fd, run};
pub use probe::{Check, probe};
pub use spec::{LaunchSpec, MountSource, Network, Report, Started, StepTime, WorkspaceMount};
pub use system::NAMESERVER;
