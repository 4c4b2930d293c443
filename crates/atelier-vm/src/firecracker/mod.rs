//! Firecracker machines: on KVM only, with the jailer where it is wanted.
//!
//! `api.rs` has the bodies of its requests, `client.rs` sends them, `jail.rs` makes the jailer's
//! command and folder, `limits.rs` holds machines to rates and reads what
//! the monitor counts, `state.rs` saves machines and goes on from them, `probe.rs` finds out whether
//! a machine boots here. This file knows their order.
//!
//! # The way in
//! The guest serves on the machine's vsock. [`VSOCK`] in the machine's folder is the socket at which
//! Firecracker lets us in: `CONNECT port` is answered by `OK`, which `atelier_guest`'s client speaks
//! (`Guest::vsock`). The network link is a tap device of the caller's making.
//!
//! # The order of calls
//! ```no_run
//! # use std::path::Path;
//! # async fn f(fc: atelier_vm::firecracker::Firecracker, boot: atelier_vm::BootFiles, dir: &Path)
//! # -> Result<(), atelier_vm::VmError> {
//! # fn start(words: &[std::ffi::OsString], dir: &Path) {}
//! use atelier_vm::Machine;
//! use atelier_vm::firecracker::{Api, Plan};
//!
//! start(&fc.command("sandbox-1"), dir); // or `Jail::command`
//! let api = Api::connect_soon(&dir.join("api.sock")).await?;
//! let machine = Machine { cpus: 1, memory_mib: 256, port: 49983, mtu: 1500 };
//! let plan = Plan::new(&boot, &machine, "base.erofs".into(), "layer".into());
//! plan.boot(&api).await?; // then wait for the guest
//! api.pause().await?;
//! api.save("state", "memory", false).await?; // and copy the layer disk
//! # Ok(()) }
//! ```
//! A copy is a new monitor with `Api::load`. It goes on with the same names: give it a folder of
//! its own and relative paths, or the overrides of [`Load`]. [`State`] does the former, so that it
//! needs no release with overrides, which there are none of for disks.

mod api;
mod client;
mod jail;
mod limits;
mod plan;
mod probe;
mod state;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

pub use api::{
    BackendType, Balloon, CacheType, Drive, Info, Limiter, Load, Logger, MemoryBackend, Metrics,
    NetworkInterface, NetworkOverride, TokenBucket, Vsock, VsockOverride,
};
pub use client::Api;
pub use jail::Jail;
pub use limits::Meter;
pub use plan::Plan;
pub use probe::probe;
pub use state::{LAYER, MEMORY, Making, STATE, SavedBy, State, Templates};

use crate::VmError;
use crate::command::{output, program};
use crate::error::Result;

/// Where both programs come from: no distribution packages them.
const RELEASES: &str = "put the binaries firecracker and jailer of a release \
    (https://github.com/firecracker-microvm/firecracker/releases) under these names into \
    /usr/local/bin";

/// The API's socket in a machine's folder.
pub const SOCKET: &str = "api.sock";
/// What its monitor counted, in a machine's folder.
pub const METRICS: &str = "metrics";
/// The way in, in a machine's folder.
pub const VSOCK: &str = "vsock.sock";

/// Firecracker as it is installed here.
#[derive(Debug, Clone)]
pub struct Firecracker {
    program: PathBuf,
    version: String,
}

impl Firecracker {
    /// The Firecracker that the user named, or the one in `PATH`.
    ///
    /// # Errors
    /// When there is none, or it does not run.
    pub fn find(configured: Option<&Path>) -> Result<Self> {
        let program = program("firecracker", configured).ok_or_else(|| VmError::Missing {
            what: "Firecracker",
            why: configured.map_or_else(
                || "no program firecracker".to_owned(),
                |path| format!("{} is no program", path.display()),
            ),
            remedy: RELEASES.to_owned(),
        })?;
        let mut ask = Command::new(&program);
        ask.arg("--version");
        let version = output(ask)?.lines().next().unwrap_or_default().to_owned();
        // The jailer names the jail after the file that a link leads to.
        let program = program.canonicalize().map_err(VmError::io("finding", &program))?;
        Ok(Self { program, version })
    }

    /// What it says of itself.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The binary.
    #[must_use]
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// The command that starts a monitor without a jail, to be run in the machine's folder. `id`
    /// has letters, digits and hyphens, at most 64.
    #[must_use]
    pub fn command(&self, id: &str) -> Vec<OsString> {
        let words = ["--id", id, "--api-sock", SOCKET].map(OsString::from);
        std::iter::once(self.program.clone().into()).chain(words).collect()
    }
}
