//! Everything that a machine is made of, and the order in which the monitor takes it.

use super::api::{
    Balloon, BootSource, CacheType, Drive, Limiter, Logger, MachineConfig, Metrics,
    NetworkInterface, Vsock,
};
use super::{Api, VSOCK};
use crate::error::Result;
use crate::kernel::BootFiles;
use crate::machine::{Machine, command_line};

/// A machine's number on its vsock; each has a host of its own.
const CID: u32 = 3;
/// What Firecracker takes for the end: it knows no other way to be turned off from inside.
const END: &str = "reboot=k atelier.off=reset";

/// A machine to boot. Paths are as the monitor sees them: from its folder, or in its jail.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Its size, and the guest's port on the vsock.
    pub machine: Machine,
    /// Whether pages that change are noted, so that it can be saved by its changes.
    pub track_dirty_pages: bool,
    /// The kernel and the initial RAM disk.
    pub kernel: (String, String),
    /// What the kernel is told.
    pub line: String,
    /// The image's disk.
    pub base: String,
    /// The layer disk.
    pub layer: String,
    /// Limits of the layer disk.
    pub disk_limiter: Option<Limiter>,
    /// Its network link, if it has one.
    pub network: Option<NetworkInterface>,
    /// Its balloon, if it has one.
    pub balloon: Option<Balloon>,
    /// Where the monitor logs to.
    pub logger: Option<Logger>,
    /// Where it writes metrics to.
    pub metrics: Option<Metrics>,
}

impl Plan {
    /// A machine without a network, a balloon, limits and logs.
    #[must_use]
    pub fn new(boot: &BootFiles, machine: &Machine, base: String, layer: String) -> Self {
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        // The first disk is the image's: Firecracker's disks carry no serial numbers of ours.
        let own = format!(
            "{END} pci=off i8042.noaux atelier.disks=vda,vdb atelier.vsock={} atelier.mtu={}",
            machine.port, machine.mtu
        );
        Self {
            machine: machine.clone(),
            track_dirty_pages: false,
            kernel: (text(&boot.vmlinux), text(&boot.initrd)),
            line: command_line(boot, false, &own),
            base,
            layer,
            disk_limiter: None,
            network: None,
            balloon: None,
            logger: None,
            metrics: None,
        }
    }

    /// Configures a new monitor and starts the machine.
    ///
    /// # Errors
    /// When the monitor refuses; its words are in the error.
    pub async fn boot(&self, api: &Api) -> Result<()> {
        self.configure(api).await?;
        api.start().await
    }

    /// Everything before the start.
    async fn configure(&self, api: &Api) -> Result<()> {
        // First, so that what follows is logged.
        if let Some(logger) = &self.logger {
            api.logger(logger).await?;
        }
        if let Some(metrics) = &self.metrics {
            api.metrics(metrics).await?;
        }
        api.machine_config(&MachineConfig {
            vcpu_count: self.machine.cpus,
            mem_size_mib: self.machine.memory_mib,
            smt: false,
            track_dirty_pages: self.track_dirty_pages,
        })
        .await?;
        api.boot_source(&BootSource {
            kernel_image_path: self.kernel.0.clone(),
            initrd_path: Some(self.kernel.1.clone()),
            boot_args: self.line.clone(),
        })
        .await?;
        // Disks are numbered in this order.
        api.drive(&disk("base", &self.base, true, None)).await?;
        api.drive(&disk("layer", &self.layer, false, self.disk_limiter)).await?;
        if let Some(network) = &self.network {
            api.network_interface(network).await?;
        }
        api.vsock(&Vsock { guest_cid: CID, uds_path: VSOCK.to_owned() }).await?;
        api.entropy().await?;
        match &self.balloon {
            Some(balloon) => api.balloon(balloon).await,
            None => Ok(()),
        }
    }
}

fn disk(id: &str, path: &str, read_only: bool, limiter: Option<Limiter>) -> Drive {
    Drive {
        drive_id: id.to_owned(),
        path_on_host: path.to_owned(),
        is_root_device: false,
        is_read_only: read_only,
        // A sandbox that survives the host's fall is worth its flushes; one can't tell which.
        cache_type: if read_only { CacheType::Unsafe } else { CacheType::Writeback },
        rate_limiter: limiter,
    }
}
