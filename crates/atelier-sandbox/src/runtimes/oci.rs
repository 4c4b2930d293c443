//! The runtime `oci`: a container from an OCI image, made by our own launcher. It has the image's files,
//! a user namespace of its own where the filesystem can map owners, our network, our filter.

use std::path::{Path, PathBuf};

use atelier_api::system::{Check, Verdict};
use atelier_launch::{RootSource, Saving};

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest, Target};
use crate::runtimes::{criu, host, launcher};
use crate::{SandboxError, guest_binary};

/// What a sandbox finds as `/proc/sys/kernel/random/boot_id`, in its folder.
pub(super) const BOOT_ID: &str = "boot_id";

/// The driver.
#[derive(Debug)]
pub struct OciRuntime {
    guest: PathBuf,
    home: PathBuf,
    criu: criu::Place,
}

impl OciRuntime {
    /// Unpacks the guest below `bin`. Trials of the probe are made in `home`. `criu` is CRIU, or a
    /// folder with an unpacked distribution that it lies in, if it is not where programs are.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path, home: &Path, criu: Option<&Path>) -> Result<Self, SandboxError> {
        let criu = criu::Place::new(criu);
        Ok(Self { guest: guest_binary::unpack(bin)?, home: home.to_owned(), criu })
    }

    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let image = request.image.ok_or_else(|| launcher::failed("oci", &"it needs an image"))?;
        let layers = request.images.layer_dirs(image);
        new_boot(request.folders.root())?;
        let saving = match (self.criu.usable(), request.state) {
            (Ok(criu), state) => {
                Some(Saving { criu: criu.clone(), state: state.map(Path::to_owned) })
            }
            (Err(why), Some(_)) => {
                return Err(launcher::failed("oci", &format!("its processes were saved: {why}")));
            }
            (Err(_), None) => None,
        };
        launcher::launch("oci", &self.guest, RootSource::Image { layers }, saving, request).await
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
        Capabilities {
            images: true,
            layered: true,
            volumes: true,
            memory_snapshots: self.criu.usable().is_ok(),
            ..Capabilities::default()
        }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }

    fn why_no_memory(&self) -> BoxFuture<'_, String> {
        let why = self.criu.usable().err().map_or_else(String::new, |why| format!(": {why}"));
        Box::pin(std::future::ready(format!("its processes are in this machine's kernel{why}")))
    }

    fn save<'a>(
        &'a self,
        target: Target<'a>,
        into: &'a Path,
        _memory: bool,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let (Ok(criu), Some(running)) = (self.criu.usable(), target.running) else {
                return Err(criu::refused(self.why_no_memory().await, None));
            };
            criu::save(criu, &self.guest, running, into).await
        })
    }
}
