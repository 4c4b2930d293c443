//! The runtime `oci`: a container from an OCI image, made by our own launcher. It has the image's files,
//! a user namespace of its own where the filesystem can map owners, our network, our filter.

use std::path::{Path, PathBuf};

use atelier_api::system::{Check, Verdict};
use atelier_launch::RootSource;

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest};
use crate::runtimes::{criu, host, launcher};
use crate::{SandboxError, guest_binary};

/// What a sandbox finds as `/proc/sys/kernel/random/boot_id`, in its folder.
pub(super) const BOOT_ID: &str = "boot_id";

/// The driver.
#[derive(Debug)]
pub struct OciRuntime {
    guest: PathBuf,
    home: PathBuf,
}

impl OciRuntime {
    /// Unpacks the guest below `bin`. Trials of the probe are made in `home`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path, home: &Path) -> Result<Self, SandboxError> {
        Ok(Self { guest: guest_binary::unpack(bin)?, home: home.to_owned() })
    }

    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let image = request.image.ok_or_else(|| launcher::failed("oci", &"it needs an image"))?;
        let layers = request.images.layer_dirs(image);
        new_boot(request.folders.root())?;
        launcher::launch("oci", &self.guest, RootSource::Image { layers }, request).await
    }
}

/// A start is a boot for whoever looks from inside, though the kernel went on.
fn new_boot(folder: &Path) -> Result<(), SandboxError> {
    let path = folder.join(BOOT_ID);
    let id = format!("{}\n", uuid::Uuid::new_v4());
    std::fs::write(&path, id).map_err(SandboxError::io("writing", path))
}

impl Runtime for OciRuntime {
    fn name(&self) -> &'static str {
        "oci"
    }

    fn isolation(&self) -> &'static str {
        "namespaces over an image's files, with users of its own"
    }

    fn probe(&self) -> Vec<Check> {
        let ids = host::check(atelier_launch::probe_ids(&self.home));
        let checks = atelier_launch::probe(&self.home).into_iter().map(host::check);
        // Without ids of its own a sandbox is less apart from the host, and says so; it works.
        let ids = Check {
            verdict: if ids.verdict == Verdict::Ok { Verdict::Ok } else { Verdict::Warning },
            ..ids
        };
        checks.chain([ids]).collect()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { images: true, layered: true, volumes: true, ..Capabilities::default() }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }

    fn why_no_memory(&self) -> BoxFuture<'_, String> {
        Box::pin(criu::why_not())
    }
}
