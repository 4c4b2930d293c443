//! What runtimes with machines of their own share: what a driver keeps, how big a machine is, and work
//! that blocks.

use std::path::{Path, PathBuf};

use atelier_net::Addresses;
use atelier_vm::{Machine, VmError};
use tokio::sync::OnceCell;

use crate::runtimes::outside::GUEST_PORT;
use crate::{SandboxError, SandboxSpec, guest_binary};

/// The driver of a machine monitor.
#[derive(Debug)]
pub struct Driver<H> {
    pub(super) guest: PathBuf,
    /// Kernels, templates and empty disks, made once.
    pub(super) cache: PathBuf,
    host: OnceCell<H>,
}

/// What machines of one monitor are run with here.
pub trait Host: Clone + Send + 'static {
    /// Looks for it. Kernels that machines with this guest boot are kept below `cache`.
    fn find(guest: &Path, cache: &Path) -> Result<Self, VmError>;
}

impl<H: Host> Driver<H> {
    /// Unpacks the guest below `bin`; kernels and templates are kept below `home`.
    ///
    /// # Errors
    /// When the folder can't be written.
    pub fn new(bin: &Path, home: &Path) -> Result<Self, SandboxError> {
        let (guest, cache) = (guest_binary::unpack(bin)?, home.join("machines"));
        Ok(Self { guest, cache, host: OnceCell::new() })
    }

    /// What is run here, which is found once.
    pub(super) async fn host(&self) -> Result<H, SandboxError> {
        let (guest, cache) = (self.guest.clone(), self.cache.clone());
        let find = || blocking(move || H::find(&guest, &cache));
        self.host.get_or_try_init(find).await.cloned()
    }
}

/// The machine, and the bytes of its disk.
pub(super) fn size(spec: &SandboxSpec) -> (Machine, u64) {
    let limits = &spec.resources;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let cpus = limits.cpus.unwrap_or(1.0).ceil().clamp(1.0, 255.0) as u32;
    let memory_mib = limits.memory.unwrap_or(512 << 20) >> 20;
    let mtu = u32::from(Addresses::MTU_ETHERNET);
    let machine = Machine { cpus, memory_mib, port: GUEST_PORT, mtu };
    (machine, limits.disk.unwrap_or(10 << 30))
}

/// Runs what waits on a thread that may wait.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, VmError> + Send + 'static,
) -> Result<T, SandboxError> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|e| SandboxError::io("running", "")(std::io::Error::other(e)))?;
    Ok(done?)
}
