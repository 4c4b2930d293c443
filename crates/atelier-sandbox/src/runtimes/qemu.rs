//! The runtime `qemu`: a virtual machine with a kernel of its own. New ones are copies of a template that
//! has booted already.

use std::path::Path;
use std::time::Duration;

use atelier_api::sandbox::DeviceCounters;
use atelier_api::system::Check;
use atelier_guest::outside::LinkKind;
use atelier_net::Addresses;
use atelier_vm::qemu::{Accelerator, LAYER, Qemu, State, Templates};
use atelier_vm::{BootFiles, Kernel, Machine, VmError, layer};

use crate::runtime::{BoxFuture, Capabilities, Running, Runtime, StartRequest, Target};
use crate::runtimes::launcher;
use crate::runtimes::machines::{self, Driver, blocking, size};
use crate::runtimes::outside::{self, Program};
use crate::{SandboxError, SandboxSpec};

/// A boot under emulation on a busy machine takes long.
const BOOT_LIMIT: Duration = Duration::from_secs(120);

/// The driver.
pub type QemuRuntime = Driver<Host>;

/// What machines are run with here.
#[derive(Debug, Clone)]
pub struct Host {
    qemu: Qemu,
    boot: BootFiles,
    accelerator: Accelerator,
}

/// Where a machine starts from.
enum Begin {
    /// A state with memory.
    State(State),
    /// Its disk alone.
    Boot,
}

impl machines::Host for Host {
    /// Tries as well which way of running machines works.
    fn find(guest: &Path, cache: &Path) -> Result<Self, VmError> {
        let boot = Kernel::find(None)?.prepare(guest, &cache.join("kernels"))?;
        let qemu = Qemu::find(None)?;
        let accelerator = qemu.choose(&boot, cache)?.accelerator;
        Ok(Self { qemu, boot, accelerator })
    }
}

impl QemuRuntime {
    async fn launch(&self, request: StartRequest<'_>) -> Result<Running, SandboxError> {
        let image = request.image.ok_or_else(|| launcher::failed("qemu", &"it needs an image"))?;
        let host = self.host().await?;
        let base = request.images.disk(image).await?.path;
        let (words, begin) = self.prepare(&host, &base, request).await?;
        let mtu = match &begin {
            Begin::State(state) => state.machine().mtu,
            Begin::Boot => sized(request.spec).0.mtu,
        };
        let program = Program {
            runtime: "qemu",
            words,
            link: LinkKind::Pair,
            mtu: u16::try_from(mtu).ok(),
            // What is emulated has its memory for translated code; what is not is faster with them.
            small_pages: host.accelerator == Accelerator::Tcg,
            overlay: None,
            pid_file: None,
            cwd: None,
        };
        let running = outside::start(program, &self.guest, request).await?;
        let dir = request.folders.root().to_owned();
        // A guest that goes on serves already: whoever asks it first will hear.
        let served = matches!(begin, Begin::State(_));
        let woken = blocking(move || match begin {
            Begin::State(state) => host.qemu.wake(&state, &dir),
            Begin::Boot => host.qemu.wait_ready(&dir, BOOT_LIMIT),
        });
        if let Err(error) = woken.await {
            let _ = running.instance.kill();
            return Err(error);
        }
        if served {
            return Ok(running);
        }
        outside::answered("qemu", &self.guest(request.folders), running, request, BOOT_LIMIT).await
    }

    /// The command, with everything that it needs in the machine's folder.
    async fn prepare(
        &self,
        host: &Host,
        base: &Path,
        request: StartRequest<'_>,
    ) -> Result<(Vec<std::ffi::OsString>, Begin), SandboxError> {
        let (host, base) = (host.clone(), base.to_owned());
        let (dir, cache) = (request.folders.root().to_owned(), self.cache.clone());
        let ((machine, disk), rates) = (sized(request.spec), request.spec.rates);
        let saved = request.state.map(Path::to_owned);
        blocking(move || {
            let disk_file = dir.join(LAYER);
            match saved {
                Some(folder) => match State::open(&folder) {
                    Ok(state) => {
                        let command = host.qemu.revive(&state, &base, &dir, rates)?;
                        return Ok((command, Begin::State(state)));
                    }
                    // Files alone.
                    Err(_) => layer::copy_sparse(&folder.join(LAYER), &disk_file)?,
                },
                None if disk_file.exists() => {}
                None => {
                    let state = templates(&cache).get(
                        &host.qemu,
                        host.accelerator,
                        &host.boot,
                        &base,
                        disk,
                        &machine,
                    )?;
                    let command = host.qemu.revive(&state, &base, &dir, rates)?;
                    return Ok((command, Begin::State(state)));
                }
            }
            let (way, boot) = (host.accelerator, &host.boot);
            Ok((host.qemu.boot(way, boot, &base, &dir, &machine, rates)?, Begin::Boot))
        })
        .await
    }
}

fn templates(cache: &Path) -> Templates {
    Templates::new(cache.join("templates"), cache.join("disks"))
}

/// The machine, and the bytes of its disk. Its link takes the largest packets that fit a frame: each
/// is a system call on both sides, so what counts is how few there are.
fn sized(spec: &SandboxSpec) -> (Machine, u64) {
    let (machine, disk) = size(spec);
    (Machine { mtu: u32::from(Addresses::MTU_TAP), ..machine }, disk)
}

impl Runtime for QemuRuntime {
    fn name(&self) -> &'static str {
        "qemu"
    }

    fn isolation(&self) -> &'static str {
        "a virtual machine with its own kernel"
    }

    fn is_extra(&self) -> bool {
        true
    }

    fn probe(&self) -> Vec<Check> {
        atelier_vm::qemu::probe(None, None, &self.guest, &self.cache)
    }

    fn prune(&self, unused: Duration) -> Result<u64, SandboxError> {
        Ok(templates(&self.cache).prune(unused)?)
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities {
            images: true,
            own_kernel: true,
            memory_snapshots: true,
            rates: true,
            ..Capabilities::default()
        }
    }

    fn start<'a>(
        &'a self,
        request: StartRequest<'a>,
    ) -> BoxFuture<'a, Result<Running, SandboxError>> {
        Box::pin(self.launch(request))
    }

    fn pause<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let (host, dir) = (self.host().await?, target.folders.root().to_owned());
            blocking(move || host.qemu.pause(&dir)).await
        })
    }

    fn resume<'a>(&'a self, target: Target<'a>) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let (host, dir) = (self.host().await?, target.folders.root().to_owned());
            blocking(move || host.qemu.resume(&dir)).await
        })
    }

    fn devices<'a>(
        &'a self,
        target: Target<'a>,
        now: bool,
    ) -> BoxFuture<'a, Result<Option<DeviceCounters>, SandboxError>> {
        Box::pin(async move {
            if !now {
                // It counts nothing by itself.
                return Ok(None);
            }
            let (host, dir) = (self.host().await?, target.folders.root().to_owned());
            blocking(move || host.qemu.devices(&dir).map(Some)).await
        })
    }

    fn save<'a>(
        &'a self,
        target: Target<'a>,
        into: &'a Path,
        memory: bool,
    ) -> BoxFuture<'a, Result<(), SandboxError>> {
        Box::pin(async move {
            let host = self.host().await?;
            let (dir, into) = (target.folders.root().to_owned(), into.to_owned());
            blocking(move || {
                if memory {
                    return host.qemu.save(&dir, &into).map(drop);
                }
                layer::copy_sparse(&dir.join(LAYER), &into.join(LAYER))
            })
            .await
        })
    }
}
