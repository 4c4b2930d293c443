//! The launcher of the runtimes `host` and `oci`: namespaces, a copy-on-write view of this machine
//! or of an image, confinement.
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
//!
//! With an image there is a user namespace (`users`, `subid`) in which root is nobody outside.
//! The launcher makes it before PID 1 and, as root, the mounts whose files it lends that
//! namespace's ids (`pieces`); PID 1 puts them in place (`image`).

mod cgroup;
mod confine;
pub mod criu;
mod error;
mod filter;
pub mod grants;
mod hide;
mod image;
mod init;
mod instance;
mod launch;
mod layers;
mod mountinfo;
mod namespace;
mod pieces;
mod probe;
mod probe_ids;
mod root;
mod spec;
mod subid;
mod sys;
mod system;
mod users;
mod view;
pub mod wire;

/// What launchers of other runtimes are made of as well.
pub mod parts {
    pub use crate::cgroup::enter as enter_cgroups;
    pub use crate::confine::{drop_all_capabilities, no_new_privileges};
    pub use crate::error::At;
    pub use crate::init::listen;
    pub use crate::launch::{in_child, send_fd};
    pub use crate::layers::overlay;
    pub use crate::sys::{close_all_but, pidfd, reset_signals, set_environment};
}

pub use error::{LaunchError, Result};
pub use instance::{Instance, Process};
pub use launch::{Hooks, Served, launch, receive_fd, run};
pub use pieces::MAX_LAYERS;
pub use probe::{Check, probe};
pub use probe_ids::probe_ids;
pub use spec::{
    LaunchSpec, MountSource, Network, Report, RootSource, Saving, Started, StepTime, WorkspaceMount,
};
pub use system::NAMESERVER;
