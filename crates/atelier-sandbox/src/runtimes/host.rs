//! The runtime `host`: namespaces over a private copy-on-write view of this machine's own files.
//! Needs no daemon, no image and no KVM.

use std::path::{Path, PathBuf};

use atelier_api::system::{Check, Verdict};
use atelier_launch::RootSource;

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest};
use crate::runtimes::launcher;
use crate::{SandboxError, guest_binary};

/// The driver.
#[derive(Debug)]
pub struct HostRuntime {
    guest: PathBuf,
    home: PathBuf,
}

impl HostRuntime {
    /// Unpacks the guest below `bin`. Trials of the probe are made in `home`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path, home: &Path) -> Result<Self, SandboxError> {
        Ok(Self { guest: guest_binary::unpack(bin)?, home: home.to_owned() })
    }
}

impl Runtime for HostRuntime {
    fn name(&self) -> &'static str {
        "host"
    }

    fn isolation(&self) -> &'static str {
        "namespaces over this machine's own files"
    }

    fn probe(&self) -> Vec<Check> {
        atelier_launch::probe(&self.home).into_iter().map(check).collect()
    }

    fn mounts_overlays(&self) -> bool {
        atelier_launch::probe(&self.home).iter().any(|check| check.name == "overlay" && check.ok)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { shares_host_files: true, ..Capabilities::default() }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(launcher::launch("host", &self.guest, RootSource::Machine, None, request))
    }
}

pub(super) fn check(found: atelier_launch::Check) -> Check {
    Check {
        name: found.name,
        verdict: if found.ok { Verdict::Ok } else { Verdict::Failed },
        detail: found.detail,
        remedy: (!found.remedy.is_empty()).then_some(found.remedy),
        fixable: false,
    }
}
