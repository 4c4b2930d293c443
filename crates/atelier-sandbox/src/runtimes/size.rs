//! What runtimes with machines of their own share: how big one is, and work that blocks.

use atelier_net::Addresses;
use atelier_vm::{Machine, VmError};

use crate::runtimes::outside::GUEST_PORT;
use crate::{SandboxError, SandboxSpec};

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
